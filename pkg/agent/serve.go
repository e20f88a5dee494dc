package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdp-port/xdp-port/pkg/endpoint"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// serve serves until the context is done.
func (a *agent) serve(ctx context.Context) error {
	server, err := endpoint.Listen(a.options.Serving, a.handler())
	if err != nil {
		return err
	}
	a.options.OnServing(server.URL)
	return server.Serve(ctx)
}

// handler serves metrics and probes. Probes have neither tokens nor certificates: if metrics
// require those, probes answer without details.
func (a *agent) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.NewCollector(inspect.Attachments, a.options.Limits), a.report.Agent)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", endpoint.Guard(a.options.Serving, a.options.Authorize, metrics.NewHandler(registry)))
	mux.HandleFunc("GET /healthz", a.serveHealth)
	mux.HandleFunc("GET /readyz", a.serveReadiness)
	return mux
}

// serveHealth fails only if the agent is stuck: a restart does not repair a configuration.
func (a *agent) serveHealth(w http.ResponseWriter, _ *http.Request) {
	stuck := max(5*time.Minute, 3*a.options.Interval)
	if silence := a.report.silence(); silence > stuck {
		http.Error(w, fmt.Sprintf("stuck for %s", silence.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "alive")
	for _, line := range a.report.describe(a.options.Serving.IsPublic()) {
		fmt.Fprintln(w, line)
	}
}

// serveReadiness fails if there is a problem, or a subject has not been looked at.
func (a *agent) serveReadiness(w http.ResponseWriter, _ *http.Request) {
	lines := a.report.describe(a.options.Serving.IsPublic())
	if len(lines) == 0 {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, line := range slices.Compact(lines) {
		fmt.Fprintln(w, line)
	}
}
