package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xdp-port/xdp-port/pkg/cli"
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
		Short: "Print, write or serve the counters for Prometheus",
		Long: `Print the counters of all containers and rules once, in Prometheus' text format.
With --textfile write them into a file for node_exporter, which sees either the old
file or the new one. With --listen serve them at /metrics: attachments are then read
at most once per second, however many clients there are.

The number of series is limited. Beyond --max-rules the rules of a container are
summed up as rule="(other)"; beyond --max-attachments containers are only counted.`,
		Example: `  xdp-portctl metrics
  xdp-portctl metrics --textfile /var/lib/node_exporter/xdp_port.prom
  xdp-portctl metrics --listen 127.0.0.1:9435`,
		Args:    cobra.NoArgs,
		PreRunE: func(command *cobra.Command, _ []string) error { return o.check(command.Flags().Changed("listen")) },
		RunE:    func(command *cobra.Command, _ []string) error { return t.runMetrics(command.Context(), o) },
	}
	flags := command.Flags()
	addServing(command, &o.Options, "")
	flags.StringVar(&o.textfile, "textfile", "", "write the metrics into this file, in one step")
	addLimits(flags, &o.limits)
	command.MarkFlagsMutuallyExclusive("listen", "textfile")
	return command
}

func (t *tool) runMetrics(ctx context.Context, o metricsOptions) error {
	gatherer := metrics.NewGatherer(metrics.NewCollector(inspect.Attachments, o.limits))
	switch {
	case o.Address != "":
		return t.serveMetrics(ctx, o.Options, gatherer)
	case o.textfile != "":
		if err := metrics.WriteTextfile(o.textfile, gatherer); err != nil {
			return fmt.Errorf("--textfile: %w", err)
		}
		return nil
	}
	return t.printMetrics(gatherer)
}

// check returns an error for flags that contradict each other.
func (o metricsOptions) check(serves bool) error {
	if err := checkLimits(o.limits); err != nil {
		return err
	}
	switch {
	case serves:
		return checkServing(o.Options)
	case o.Options != (endpoint.Options{}):
		return errors.New("certificates and tokens need --listen")
	}
	return nil
}

func addLimits(flags *pflag.FlagSet, limits *metrics.Limits) {
	flags.IntVar(&limits.Attachments, "max-attachments", 1000, "maximum number of interfaces with series of their own")
	flags.IntVar(&limits.Rules, "max-rules", 100, "maximum number of rules per interface with series of their own")
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
			Samples []metrics.Sample `json:"samples"`
		}{schemaNow, metrics.Samples(families)})
	}
	t.out.Raw() // the format has its own escapes
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(t.out, family); err != nil {
			return err
		}
	}
	return nil
}

// serveMetrics serves until the context is done.
func (t *tool) serveMetrics(ctx context.Context, o endpoint.Options, gatherer prometheus.Gatherer) error {
	authorize, err := o.Authorizer()
	if err != nil {
		return fmt.Errorf("--require-token: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", endpoint.Guard(o, authorize, metrics.NewHandler(gatherer)))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `<a href="/metrics">xdp-port's metrics</a>`)
	})
	server, err := endpoint.Listen(o, mux)
	if err != nil {
		return err
	}
	t.printServing(server.URL)
	return server.Serve(ctx)
}

func (t *tool) printServing(url string) {
	fmt.Fprintf(t.err, "serving %s/metrics, press Ctrl-C to stop\n", url)
}

// addServing adds the flags of commands that serve metrics.
func addServing(command *cobra.Command, o *endpoint.Options, address string) {
	flags := command.Flags()
	flags.StringVar(&o.Address, "listen", address, "serve at HOST:PORT; :PORT serves at all addresses of the node")
	flags.StringVar(&o.CertFile, "tls-cert", "", "serve HTTPS with this certificate; it is read again when it is renewed")
	flags.StringVar(&o.KeyFile, "tls-key", "", "the key of --tls-cert")
	flags.StringVar(&o.ClientCAFile, "client-ca", "",
		"serve metrics only to clients with a certificate signed by one of these authorities")
	flags.BoolVar(&o.RequireToken, "require-token", false,
		"serve metrics only to clients with a bearer token of the cluster (TokenReview) whose user may get /metrics "+
			"(SubjectAccessReview); implies HTTPS, with a self-signed certificate unless --tls-cert is given")
	command.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	command.MarkFlagsMutuallyExclusive("client-ca", "require-token")
}

// checkServing returns an error for an invalid address and for flags that contradict each
// other.
func checkServing(o endpoint.Options) error {
	if err := endpoint.CheckAddress(o.Address); err != nil {
		return fmt.Errorf("--listen %s: %w", cli.Quote(o.Address), err)
	}
	return o.Check()
}
