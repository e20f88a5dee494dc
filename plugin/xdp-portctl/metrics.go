package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// metricsOptions are the flags of metrics.
type metricsOptions struct {
	listen, textfile string
	limits           metrics.Limits
}

func (t *tool) metrics() *cobra.Command {
	var o metricsOptions
	command := &cobra.Command{
		Use:   "metrics",
		Short: "Print the counters for Prometheus, write a textfile, or serve them",
		Long: `Print the counters of all containers and rules in Prometheus' text format, once;
or write them into a file for node_exporter's textfile collector, which sees the
old file or the new one and never half of it; or serve them at /metrics.

The number of series is bounded: beyond --max-rules the rules of a container are
summed up as rule="(other)", beyond --max-attachments containers are only counted.`,
		Example: `  xdp-portctl metrics
  xdp-portctl metrics --textfile /var/lib/node_exporter/xdp_port.prom
  xdp-portctl metrics --listen 127.0.0.1:9435`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.check() },
		RunE: func(command *cobra.Command, _ []string) error {
			registry := prometheus.NewRegistry()
			registry.MustRegister(metrics.NewCollector(inspect.Attachments, o.limits))
			switch {
			case o.listen != "":
				return t.serveMetrics(command.Context(), o.listen, registry)
			case o.textfile != "":
				return prometheus.WriteToTextfile(o.textfile, registry)
			}
			return t.printMetrics(registry)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.listen, "listen", "", "serve at this address, such as 127.0.0.1:9435, until interrupted")
	flags.StringVar(&o.textfile, "textfile", "", "write into this file, at once")
	addLimits(flags, &o.limits)
	command.MarkFlagsMutuallyExclusive("listen", "textfile")
	return command
}

func (o *metricsOptions) check() error {
	if o.listen != "" {
		if err := checkListen(o.listen); err != nil {
			return err
		}
	}
	return checkLimits(o.limits)
}

func addLimits(flags *pflag.FlagSet, limits *metrics.Limits) {
	flags.IntVar(&limits.Attachments, "max-attachments", 1000, "how many interfaces are told one by one")
	flags.IntVar(&limits.Rules, "max-rules", 100, "how many rules of each interface are told one by one")
}

func checkLimits(limits metrics.Limits) error {
	if limits.Attachments < 0 || limits.Rules < 0 {
		return errors.New("--max-attachments and --max-rules must not be less than 0")
	}
	return nil
}

func (t *tool) printMetrics(registry *prometheus.Registry) error {
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	if t.wantsJSON() {
		return t.printJSON(struct {
			schema
			Samples []sample `json:"samples"`
		}{schemaNow, samples(families)})
	}
	t.out.clean = nil // the format has escapes of its own
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(t.out, family); err != nil {
			return err
		}
	}
	return nil
}

// sample is one series and its value.
type sample struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

func samples(families []*dto.MetricFamily) []sample {
	list := []sample{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			s := sample{Name: family.GetName(), Labels: map[string]string{}}
			for _, label := range m.GetLabel() {
				s.Labels[label.GetName()] = label.GetValue()
			}
			s.Value = m.GetGauge().GetValue() + m.GetCounter().GetValue() // it has one of them
			list = append(list, s)
		}
	}
	return list
}

// serveMetrics serves until the context is done.
func (t *tool) serveMetrics(ctx context.Context, address string, registry *prometheus.Registry) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `<a href="/metrics">xdp-port's metrics</a>`)
	})
	return t.serve(ctx, address, mux)
}

// serve serves until the context is done.
func (t *tool) serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() {
		const patience = 5 * time.Second
		ending, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = server.Shutdown(ending)
	})
	fmt.Fprintf(t.err, "serving http://%s/metrics, Ctrl-C ends it\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
