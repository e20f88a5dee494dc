package agent

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xdp-port/xdp-port/pkg/endpoint"
)

// ask returns what the agent serves at a path.
func ask(a *agent, path string) (code int, text string) {
	recorder := httptest.NewRecorder()
	a.handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

// TestReadiness is ready once all subjects have been checked and none has a problem.
func TestReadiness(t *testing.T) {
	a := &agent{report: newReport()}
	for _, subject := range subjects {
		if code, text := ask(a, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, subject+": not checked yet") {
			t.Errorf("%d: %s", code, text)
		}
		a.report.set(subject, nil)
	}
	if code, text := ask(a, "/readyz"); code != http.StatusOK || text != "ready\n" {
		t.Errorf("%d: %s", code, text)
	}
	problem := errors.New("rules[0] is a secret")
	for range 2 {
		a.report.set(aboutContainers, problem)
	}
	if code, text := ask(a, "/readyz"); code != http.StatusServiceUnavailable || text != "containers: rules[0] is a secret\n" {
		t.Errorf("%d: %s", code, text)
	}
	a.options.Serving = endpoint.Options{RequireToken: true}
	for path, want := range map[string]int{"/readyz": http.StatusServiceUnavailable, "/healthz": http.StatusOK} {
		if code, text := ask(a, path); code != want || strings.Contains(text, "secret") || !strings.Contains(text, "containers: see the log") {
			t.Errorf("%s without a token: %d: %s", path, code, text)
		}
	}
}

// TestChanges reports a problem as a change once, and its end.
func TestChanges(t *testing.T) {
	r := newReport()
	for i, test := range []struct {
		err     error
		changed bool
	}{
		{nil, false}, {errors.New("a"), true}, {errors.New("a"), false}, {errors.New("b"), true}, {nil, true}, {nil, false},
	} {
		if changed := r.set(aboutPrograms, test.err); changed != test.changed {
			t.Errorf("%d: %v: %v", i, test.err, changed)
		}
	}
}

// TestHealth fails only after a long silence.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent{report: newReport(), options: Options{Interval: 10 * time.Minute}}
		for silence, want := range map[time.Duration]int{29 * time.Minute: http.StatusOK, 31 * time.Minute: http.StatusServiceUnavailable} {
			a.report.alive()
			time.Sleep(silence)
			if code, text := ask(a, "/healthz"); code != want {
				t.Errorf("after %s: %d: %s", silence, code, text)
			}
		}
	})
}
