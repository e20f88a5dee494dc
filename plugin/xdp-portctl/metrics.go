package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xdp-port/xdp-port/pkg/endpoint"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// metricsOptions are the flags of metrics.
type metricsOptions struct {
	endpoint.Options
	textfile string
	limits   metrics.Limits
}

func (t *tool) metrics() *cobra.Command {
	var o metricsOptions
	command := &cobra.Command{
		Use:   "metrics",
		Short: "Print the counters for Prometheus, write a textfile, or serve them",
		Long: `Print the counters of all containers and rules in Prometheus' text format, once;
or write them into a file for node_exporter's textfile collector, which sees the
old file or the new one and never half of it; or serve them at /metrics. However
many scrape it, what is attached is then read once a second at most.

The number of series is bounded: beyond --max-rules the rules of a container are
summed up as rule="(other)", beyond --max-attachments containers are only counted.`,
		Example: `  xdp-portctl metrics
  xdp-portctl metrics --textfile /var/lib/node_exporter/xdp_port.prom
  xdp-portctl metrics --listen 127.0.0.1:9435`,
		Args:    cobra.NoArgs,
		PreRunE: func(command *cobra.Command, _ []string) error { return o.check(command.Flags().Changed("listen")) },
		RunE: func(command *cobra.Command, _ []string) error {
			gatherer := metrics.NewGatherer(metrics.NewCollector(inspect.Attachments, o.limits))
			switch {
			case o.Address != "":
				return t.serveMetrics(command.Context(), o.Options, gatherer)
			case o.textfile != "":
				return writeTextfile(o.textfile, gatherer)
			}
			return t.printMetrics(gatherer)
		},
	}
	flags := command.Flags()
	addServing(command, &o.Options, "")
	flags.StringVar(&o.textfile, "textfile", "", "write into this file, at once")
	addLimits(flags, &o.limits)
	command.MarkFlagsMutuallyExclusive("listen", "textfile")
	return command
}

// check returns what is wrong with the flags by themselves.
func (o metricsOptions) check(serves bool) error {
	if err := checkLimits(o.limits); err != nil {
		return err
	}
	switch {
	case serves:
		return checkServing(o.Options)
	case o.Options != (endpoint.Options{}):
		return errors.New("certificates and tokens are for --listen")
	}
	return nil
}

func addLimits(flags *pflag.FlagSet, limits *metrics.Limits) {
	flags.IntVar(&limits.Attachments, "max-attachments", 1000, "how many interfaces get series of their own")
	flags.IntVar(&limits.Rules, "max-rules", 100, "how many rules of each interface get series of their own")
}

func checkLimits(limits metrics.Limits) error {
	if limits.Attachments < 0 || limits.Rules < 0 {
		return errors.New("--max-attachments and --max-rules must not be less than 0")
	}
	return nil
}

func (t *tool) printMetrics(gatherer prometheus.Gatherer) error {
	families, err := gatherer.Gather()
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
func (t *tool) serveMetrics(ctx context.Context, o endpoint.Options, gatherer prometheus.Gatherer) error {
	authorize, err := authorizer(o)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", endpoint.Guard(o, authorize, metrics.NewHandler(gatherer)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `<a href="/metrics">xdp-port's metrics</a>`)
	})
	return t.serve(ctx, o, mux)
}
