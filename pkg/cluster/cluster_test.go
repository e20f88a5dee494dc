package cluster

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newClient returns the client of a pod. The handler is its API server.
// test/kubernetes has a real API server; the tests here cover its rare answers.
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

// TestFollow has a server that lists, watches, forgets the version, refuses, and ends
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
	var reported []string
	client.Follow(ctx, "ns", "rules", func(m ConfigMap) {
		text := m.Data["k"]
		if m.Err != nil {
			text = m.Err.Error()
		}
		reported = append(reported, text)
		if text == "four" {
			cancel()
		}
	})
	want := "one, two, three, " + ErrGone.Error() +
		", ConfigMap ns/rules: the API server answers 403 Forbidden: you may not, " + ErrGone.Error() + ", four"
	if got := strings.Join(reported, ", "); got != want {
		t.Errorf("reported\n%s\nwant\n%s", got, want)
	}
}

const (
	setPath       = "/apis/apps/v1/namespaces/ns/daemonsets/agent"
	setsPath      = "/apis/apps/v1/namespaces/ns/daemonsets"
	namespacePath = "/api/v1/namespaces/ns"

	isThere = `{"metadata": {"uid": "1"}}`
	isGoing = `{"metadata": {"uid": "1", "deletionTimestamp": "2026-01-02T03:04:05Z"}}`
	isGone  = `404 {"kind": "Status", "reason": "NotFound", "message": "daemonsets.apps \"agent\" not found",
		"details": {"name": "agent", "group": "apps", "kind": "daemonsets"}}`
)

// answers holds a server's answers by path: a body, or a status and a body. The server
// answers 500 for other paths.
type answers struct {
	mutex sync.Mutex
	by    map[string]string
}

func (a *answers) set(by map[string]string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.by = by
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if r.FormValue("watch") == "true" {
		path += "?watch"
	}
	a.mutex.Lock()
	answer, known := a.by[path]
	a.mutex.Unlock()
	code := http.StatusOK
	if !known {
		code = http.StatusInternalServerError
	}
	if _, err := fmt.Sscanf(answer, "%d", &code); err == nil {
		answer = answer[len("404"):]
	}
	w.WriteHeader(code)
	_, _ = fmt.Fprint(w, answer)
}

// TestIsBeingDeleted has all answers of an API server about a DaemonSet that existed.
func TestIsBeingDeleted(t *testing.T) {
	const forbidden = `403 {"kind": "Status", "reason": "Forbidden", "message": "you may not"}`
	for _, test := range []struct {
		name    string
		answers map[string]string
		want    bool
		fails   bool
	}{
		{"an upgrade", map[string]string{setPath: isThere, namespacePath: isThere}, false, false},
		{"another one of the name", map[string]string{setPath: `{"metadata": {"uid": "2"}}`, namespacePath: isThere}, false, false},
		{"deleted", map[string]string{setPath: isGone}, true, false},
		{"being deleted", map[string]string{setPath: isGoing}, true, false},
		{"with its namespace", map[string]string{setPath: isThere, namespacePath: isGoing}, true, false},
		{"a role that is gone", map[string]string{setPath: forbidden}, false, true},
		{"a token that expired", map[string]string{setPath: "401"}, false, true},
		{"a namespace that it may not read", map[string]string{setPath: isThere, namespacePath: forbidden}, false, true},
		{"a server in trouble", map[string]string{setPath: "500"}, false, true},
		{"a proxy that knows no such path", map[string]string{setPath: "404 page not found"}, false, true},
		{"an API that is not served yet", map[string]string{
			setPath: `404 {"kind": "Status", "reason": "NotFound", "message": "the server could not find the requested resource", "details": {}}`,
		}, false, true},
		{"nonsense", map[string]string{setPath: "]"}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := &answers{by: map[string]string{setPath: isThere, namespacePath: isThere}}
			set := newClient(t, a.ServeHTTP).DaemonSet("ns", "agent")
			if err := set.Find(t.Context()); err != nil || !set.Seen() {
				t.Fatalf("it is not found: %v", err)
			}
			a.set(test.answers)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			got, err := set.IsBeingDeleted(ctx)
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestNeverSeen has a wrong name, which is no deletion.
func TestNeverSeen(t *testing.T) {
	a := &answers{by: map[string]string{setPath: isGone, namespacePath: isThere}}
	set := newClient(t, a.ServeHTTP).DaemonSet("ns", "agent")
	if err := set.Find(t.Context()); err == nil || set.Seen() {
		t.Errorf("found: %v", err)
	}
	if deleted, err := set.IsBeingDeleted(t.Context()); deleted || err == nil {
		t.Errorf("got %v, %v", deleted, err)
	}
}

// TestDeletionWatched deletes the permissions with the DaemonSet. A deletion that the
// watch has seen counts; a watch that ends does not.
func TestDeletionWatched(t *testing.T) {
	const list = `{"metadata": {"resourceVersion": "1"}, "items": [` + isThere + `]}`
	for _, test := range []struct {
		name, watch string
		uid         string // of the DaemonSet after the watch
		want        bool
	}{
		{"deleted", `{"type": "DELETED", "object": ` + isThere + `}`, "1", true},
		{"being deleted", `{"type": "MODIFIED", "object": ` + isGoing + `}`, "1", true},
		{"created again", `{"type": "DELETED", "object": ` + isThere + `}{"type": "ADDED", "object": {"metadata": {"uid": "2"}}}`, "2", false},
		{"nothing", ``, "1", false},
		{"an error", `{"type": "ERROR", "object": {}}`, "1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := &answers{by: map[string]string{setPath: isThere, namespacePath: isThere, setsPath: list}}
			watched := make(chan struct{})
			var once sync.Once
			set := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("watch") == "" {
					a.ServeHTTP(w, r)
					return
				}
				_, _ = fmt.Fprint(w, test.watch)
				a.set(map[string]string{setPath: "401", setsPath: "401"})
				once.Do(func() { close(watched) })
			}).DaemonSet("ns", "agent")
			if err := set.Find(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go set.Follow(ctx)
			<-watched
			for uidOf(set) != test.uid { // the client has read the answer by then
				time.Sleep(time.Millisecond)
			}
			patience := 200 * time.Millisecond
			if test.want {
				patience = time.Minute
			}
			asking, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			got, err := set.IsBeingDeleted(asking)
			if got != test.want || (err == nil) != test.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func uidOf(set *DaemonSet) string {
	set.mutex.Lock()
	defer set.mutex.Unlock()
	return set.uid
}

// TestNobodyAnswers requires an error instead of a guess.
func TestNobodyAnswers(t *testing.T) {
	client := newClient(t, nil)
	client.base = "https://127.0.0.1:1"
	var status *StatusError
	if going, err := client.DaemonSet("ns", "agent").IsBeingDeleted(t.Context()); going || err == nil || errors.As(err, &status) {
		t.Errorf("got %v, %v", going, err)
	}
}

// TestMayGet has a server that knows two tokens, and admits one user.
func TestMayGet(t *testing.T) {
	users := map[string]string{"good": "prometheus", "other": "visitor"}
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		switch r.URL.Path {
		case "/apis/authentication.k8s.io/v1/tokenreviews":
			var review tokenReview
			if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Kind != "TokenReview" {
				t.Errorf("%+v: %v", review, err)
			}
			name := users[review.Spec.Token]
			_, _ = fmt.Fprintf(w, `{"status": {"authenticated": %v, "user": {"username": %q, "groups": ["g"]}}}`, name != "", name)
		case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
			var review accessReview
			if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Kind != "SubjectAccessReview" ||
				review.Spec.Resource != (nonResource{"/metrics", "get"}) || len(review.Spec.Groups) != 1 {
				t.Errorf("%+v: %v", review, err)
			}
			_, _ = fmt.Fprintf(w, `{"status": {"allowed": %v}}`, review.Spec.User == "prometheus")
		default:
			t.Errorf("asked for %s", r.URL)
		}
	})
	for token, want := range map[string]bool{"good": true, "other": false} {
		if allowed, err := client.MayGet(t.Context(), token, "/metrics"); allowed != want || err != nil {
			t.Errorf("%s: %v, %v", token, allowed, err)
		}
	}
	if allowed, err := client.MayGet(t.Context(), "bad", "/metrics"); allowed || !errors.Is(err, ErrNoUser) {
		t.Errorf("a bad token: %v, %v", allowed, err)
	}
	refused := newClient(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if allowed, err := refused.MayGet(t.Context(), "good", "/metrics"); allowed || err == nil || errors.Is(err, ErrNoUser) {
		t.Errorf("a caller who may not ask: %v, %v", allowed, err)
	}
}

func TestNoPod(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	if _, err := InCluster(t.TempDir()); err == nil {
		t.Error("a client without a cluster")
	}
}
