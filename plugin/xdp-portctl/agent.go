package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/cli"
	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/endpoint"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// agentOptions are the flags of agent.
type agentOptions struct {
	places
	config               string
	configMap, key       string
	daemonSet            string
	serving              endpoint.Options
	interval, gcInterval time.Duration
	limits               metrics.Limits
}

func (t *tool) agent() *cobra.Command {
	var o agentOptions
	command := &cobra.Command{
		Use:   "agent",
		Short: "Keep this node as its configuration says, until interrupted; for Kubernetes",
		Long: `Keep xdp-port's entry in the network's conflist, also when another installer
rewrites that, and the programs beside this one in the folder of the CNI plugins,
where they are missing; give new rules to all running containers of the network,
as apply does; remove the stale state of containers that are gone, as gc does; and
serve /metrics, /healthz (it is alive) and /readyz (all is as it should be, or what is
not). Where one of the two folders comes to be another, as behind a symbolic link
that an upgrade of k3s leads elsewhere, it goes on with that; where it sees none in
its place, as in a container, it fails, and must be started again.

The configuration is that of install --config: a file, read again when it changes,
or a key of a ConfigMap, which is watched. One with errors changes nothing, and is
reported in the log, in the metrics and at /readyz.

When it ends everything stays as it is, but with --daemonset: if the API server says
for sure that this is being deleted, the conflist is put back, and the programs go,
as uninstall does it. An answer that the agent may not ask is none.`,
		Example: `  xdp-portctl agent --config /etc/xdp-port/rules.json
  xdp-portctl agent --configmap xdp-port/xdp-port --daemonset xdp-port --listen :9435`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.check() },
		RunE: func(command *cobra.Command, _ []string) error {
			return t.runAgent(command.Context(), o)
		},
	}
	o.addTo(command)
	flags := command.Flags()
	flags.StringVar(&o.config, "config", "", "the file with xdp-port's entry")
	flags.StringVar(&o.configMap, "configmap", "", "the ConfigMap with xdp-port's entry, as NAMESPACE/NAME")
	flags.StringVar(&o.key, "key", "xdp-port.json", "the key of the ConfigMap")
	flags.StringVar(&o.daemonSet, "daemonset", "", "the DaemonSet, in the ConfigMap's namespace, with which to uninstall")
	addServing(command, &o.serving, "127.0.0.1:9435")
	flags.DurationVar(&o.interval, "interval", 30*time.Second, "how often to look for differences that no event reported")
	flags.DurationVar(&o.gcInterval, "gc-interval", 5*time.Minute, "how often to run gc")
	addLimits(flags, &o.limits)
	command.MarkFlagsOneRequired("config", "configmap")
	command.MarkFlagsMutuallyExclusive("config", "configmap")
	command.MarkFlagsMutuallyExclusive("config", "daemonset")
	return command
}

// check returns an error for flags that mean nothing.
func (o *agentOptions) check() error {
	if o.interval <= 0 || o.gcInterval <= 0 {
		return errors.New("--interval and --gc-interval must be more than 0")
	}
	if o.configMap != "" {
		if err := checkConfigMap(o.configMap); err != nil {
			return err
		}
	}
	if o.config == "" && o.configMap == "" {
		return errors.New("--config or --configmap is empty")
	}
	return errors.Join(o.places.check(), checkServing(o.serving), checkLimits(o.limits))
}

func (t *tool) runAgent(ctx context.Context, o agentOptions) error {
	a := &agent{options: o, log: slog.New(slog.NewTextHandler(t.err, nil)), report: newReport()}
	follow := a.followFile(o.config)
	if o.configMap != "" {
		namespace, name, _ := strings.Cut(o.configMap, "/")
		client, err := cluster.InCluster(cluster.ServiceAccountFolder)
		if err != nil {
			return err
		}
		follow = followConfigMap(client, namespace, name, o.key)
		if o.daemonSet != "" {
			a.daemonSet = client.DaemonSet(namespace, o.daemonSet)
			// Until the agent has ended: what is deleted with it may be seen only then.
			following, cancel := context.WithCancel(context.WithoutCancel(ctx))
			defer cancel()
			go a.daemonSet.Follow(following)
		}
	}
	if err := a.openFolders(ctx); err != nil {
		return err
	}
	defer a.closeFolders()
	authorize, err := authorizer(o.serving)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- t.serve(ctx, o.serving, a.handler(authorize)) }()
	configurations := make(chan configuration)
	go follow(ctx, configurations)
	return a.run(ctx, configurations, served)
}

// checkConfigMap returns an error for what does not name a ConfigMap.
func checkConfigMap(path string) error {
	if parts := strings.Split(path, "/"); len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return fmt.Errorf("--configmap %s: this is not NAMESPACE/NAME", cli.Quote(path))
	}
	return nil
}

// serve serves until the context is done.
func (t *tool) serve(ctx context.Context, o endpoint.Options, handler http.Handler) error {
	server, err := endpoint.Listen(o, handler)
	if err != nil {
		return err
	}
	t.printServing(server.URL)
	return server.Serve(ctx)
}
