package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdp-port/xdp-port/pkg/apply"
	"github.com/xdp-port/xdp-port/pkg/endpoint"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// What problems are about. Each has one at a time.
const (
	aboutConfiguration = "configuration"
	aboutPrograms      = "programs"
	aboutConflist      = "conflist"
	aboutContainers    = "containers"
	aboutForeign       = "foreign-programs"
	aboutGarbage       = "garbage"
	aboutDaemonSet     = "daemonset"
)

var subjects = []string{aboutConfiguration, aboutPrograms, aboutConflist, aboutContainers, aboutForeign, aboutGarbage, aboutDaemonSet}

// report is what the agent tells the world. It may be used by several at once.
type report struct {
	mutex    sync.Mutex
	problems map[string]error
	known    map[string]bool // what has been looked at
	lastSign time.Time

	*metrics.Agent
}

func newReport() *report {
	var outcomes []string
	for _, outcome := range apply.Outcomes {
		outcomes = append(outcomes, string(outcome))
	}
	return &report{
		problems: map[string]error{}, known: map[string]bool{}, lastSign: time.Now(),
		Agent: metrics.NewAgent(subjects, outcomes),
	}
}

// settle notes a problem with a subject, or that there is none, and tells
// whether that is news.
func (r *report) settle(subject string, err error) (news bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	old := r.problems[subject]
	r.known[subject] = true
	if err == nil {
		delete(r.problems, subject)
		r.Problem.WithLabelValues(subject).Set(0)
		return old != nil
	}
	r.problems[subject] = err
	r.Problem.WithLabelValues(subject).Set(1)
	return old == nil || old.Error() != err.Error()
}

func (r *report) has(subject string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.problems[subject] != nil
}

// alive notes that the agent goes on.
func (r *report) alive() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.lastSign = time.Now()
}

// describe lists what is wrong or not known yet, a line each: with what there is to
// say about it, or only what it is about.
func (r *report) describe(details bool) (lines []string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, subject := range subjects {
		switch err := r.problems[subject]; {
		case err != nil && details:
			lines = append(lines, fmt.Sprintf("%s: %v", subject, err))
		case err != nil:
			lines = append(lines, subject+": see the log")
		case !r.known[subject]:
			lines = append(lines, subject+": not looked at yet")
		}
	}
	return lines
}

func (r *report) silence() time.Duration {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return time.Since(r.lastSign)
}

// handler serves what the agent and the node's attachments have to tell. Probes
// bring neither tokens nor certificates; where those are wanted for the metrics, it
// is not everyone's business either what is wrong.
func (a *agent) handler(authorize endpoint.Authorize) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewCollector(inspect.Attachments, a.options.limits), a.report.Agent)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", endpoint.Guard(a.options.serving, authorize, metrics.NewHandler(registry)))
	mux.HandleFunc("GET /healthz", a.serveHealth)
	mux.HandleFunc("GET /readyz", a.serveReadiness)
	return mux
}

// serveHealth is about the agent alone: to start it anew mends no configuration.
func (a *agent) serveHealth(w http.ResponseWriter, _ *http.Request) {
	stuck := max(5*time.Minute, 3*a.options.interval)
	if silence := a.report.silence(); silence > stuck {
		http.Error(w, fmt.Sprintf("stuck for %s", silence.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "alive")
	for _, line := range a.report.describe(a.options.serving.IsPublic()) {
		fmt.Fprintln(w, line)
	}
}

func (a *agent) serveReadiness(w http.ResponseWriter, _ *http.Request) {
	lines := a.report.describe(a.options.serving.IsPublic())
	if len(lines) == 0 {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, line := range slices.Compact(lines) {
		fmt.Fprintln(w, line)
	}
}
