package cluster

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newClient returns the client of a pod whose API server answers by handler.
// test/kubernetes has a real one; here are the answers that it gives seldom.
func newClient(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("%s comes with %q", r.URL, got)
		}
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	folder := t.TempDir()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, content := range map[string][]byte{"ca.crt": authority, "token": []byte("secret\n")} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", address.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", address.Port())
	client, err := InCluster(folder)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestFollow has a server list, watch, forget the version, refuse, and end
// watches.
func TestFollow(t *testing.T) {
	answers := []struct{ query, body string }{
		{"list", `{"metadata": {"resourceVersion": "7"}, "items": [{"data": {"k": "one"}}]}`},
		{"watch 7", `{"type": "MODIFIED", "object": {"metadata": {"resourceVersion": "8"}, "data": {"k": "two"}}}
			{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}`},
		{"watch 9", `{"type": "ERROR", "object": {"code": 410}}`},
		{"list", `{"metadata": {"resourceVersion": "20"}, "items": [{"data": {"k": "three"}}]}`},
		{"watch 20", ``},
		{"watch 20", `{"type": "DELETED", "object": {"metadata": {"resourceVersion": "21"}, "data": {"k": "three"}}}`},
		{"watch 21", `forbidden`},
		{"list", `{"metadata": {"resourceVersion": "30"}, "items": []}`},
		{"watch 30", `{"type": "ADDED", "object": {"metadata": {"resourceVersion": "31"}, "data": {"k": "four"}}}`},
	}
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if len(answers) == 0 {
			<-r.Context().Done()
			return
		}
		query := "list"
		if r.FormValue("watch") == "true" {
			query = "watch " + r.FormValue("resourceVersion")
		}
		if r.URL.Path != "/api/v1/namespaces/ns/configmaps" || r.FormValue("fieldSelector") != "metadata.name=rules" || query != answers[0].query {
			t.Errorf("asked for %s, want %s", r.URL, answers[0].query)
		}
		body := answers[0].body
		answers = answers[1:]
		if body == "forbidden" {
			w.WriteHeader(http.StatusForbidden)
			body = `{"message": "you may not"}`
		}
		_, _ = fmt.Fprint(w, body)
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var told []string
	client.Follow(ctx, "ns", "rules", func(m ConfigMap) {
		text := m.Data["k"]
		if m.Err != nil {
			text = m.Err.Error()
		}
		told = append(told, text)
		if text == "four" {
			cancel()
		}
	})
	want := "one, two, three, " + ErrGone.Error() +
		", ConfigMap ns/rules: the API server answers 403 Forbidden: you may not, " + ErrGone.Error() + ", four"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

func TestIsGoing(t *testing.T) {
	const daemonSet, namespace = "/apis/apps/v1/namespaces/ns/daemonsets/agent", "/api/v1/namespaces/ns"
	const deleted, there = `{"metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}}`, `{"metadata": {}}`
	for _, test := range []struct {
		name    string
		answers map[string]string // a body, or a status
		want    bool
		fails   bool
	}{
		{"an upgrade", map[string]string{daemonSet: there, namespace: there}, false, false},
		{"deleted", map[string]string{daemonSet: "404"}, true, false},
		{"being deleted", map[string]string{daemonSet: deleted}, true, false},
		{"with its namespace", map[string]string{daemonSet: there, namespace: deleted}, true, false},
		{"with its role", map[string]string{daemonSet: "403"}, true, false},
		{"with its service account", map[string]string{daemonSet: "401"}, true, false},
		{"a namespace that it may not read", map[string]string{daemonSet: there, namespace: "403"}, false, true},
		{"a server in trouble", map[string]string{daemonSet: "500"}, false, true},
		{"nonsense", map[string]string{daemonSet: "]"}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				answer, known := test.answers[r.URL.Path]
				if !known {
					t.Errorf("asked for %s", r.URL)
				}
				code := http.StatusOK
				if _, err := fmt.Sscanf(answer, "%d", &code); err == nil {
					answer = "{}"
				}
				w.WriteHeader(code)
				_, _ = fmt.Fprint(w, answer)
			})
			got, err := client.IsGoing(context.Background(), "ns", "agent")
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestNobodyAnswers wants an error, not a guess.
func TestNobodyAnswers(t *testing.T) {
	client := newClient(t, nil)
	client.base = "https://127.0.0.1:1"
	var status *StatusError
	if going, err := client.IsGoing(context.Background(), "ns", "agent"); going || err == nil || errors.As(err, &status) {
		t.Errorf("got %v, %v", going, err)
	}
}

func TestNoPod(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := InCluster(t.TempDir()); err == nil {
		t.Error("a client without a cluster")
	}
}
