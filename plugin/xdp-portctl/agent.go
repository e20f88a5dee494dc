package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/install"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// agentOptions are the flags of agent.
type agentOptions struct {
	places
	config               string
	configMap, key       string
	daemonSet            string
	listen               string
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
as apply does; remove what containers left that are gone, as gc does; and serve
/metrics, /healthz (it is alive) and /readyz (all is as it should be, or what is
not). It fails if one of the two folders is removed, and must be started anew.

The configuration is that of install --config: a file, read again when it changes,
or a key of a ConfigMap, which is watched. One with mistakes changes nothing, and is
reported in the log, in the metrics and at /readyz.

When it ends everything stays as it is, but with --daemonset: if that is being
deleted, the conflist is put back, and the programs go, as uninstall does it.`,
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
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9435", "serve at this address")
	flags.DurationVar(&o.interval, "interval", 30*time.Second, "how often to look for differences that no event told of")
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
	return errors.Join(checkListen(o.listen), checkLimits(o.limits))
}

func (t *tool) runAgent(ctx context.Context, o agentOptions) error {
	a := &agent{options: o, log: slog.New(slog.NewTextHandler(t.err, nil)), report: newReport()}
	follow := followFile(o.config)
	if o.configMap != "" {
		namespace, name, _ := strings.Cut(o.configMap, "/")
		client, err := cluster.InCluster(cluster.ServiceAccountFolder)
		if err != nil {
			return err
		}
		follow = followConfigMap(client, namespace, name, o.key)
		if o.daemonSet != "" {
			a.isGoing = func(ctx context.Context) (bool, error) { return client.IsGoing(ctx, namespace, o.daemonSet) }
		}
	}
	for _, path := range []string{o.networks.Folder, o.bin} {
		folder, err := install.OpenFolder(path)
		if err != nil {
			return err
		}
		defer folder.Close()
		a.folders = append(a.folders, folder)
	}
	conflists, err := install.Watch(ctx, o.networks.Folder)
	if err != nil {
		return fmt.Errorf("watch %s: %w", o.networks.Folder, err)
	}
	served := make(chan error, 1)
	go func() { served <- t.serve(ctx, o.listen, a.handler(o.limits)) }()
	configurations := make(chan configuration)
	go follow(ctx, configurations)
	return a.run(ctx, configurations, conflists, served)
}
