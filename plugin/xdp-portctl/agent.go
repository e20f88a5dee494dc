package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/agent"
)

func (t *tool) agent() *cobra.Command {
	var o agent.Options
	var p places
	command := &cobra.Command{
		Use:   "agent",
		Short: "Keep this node as its configuration says, for Kubernetes",
		Long: `Keep this node as its configuration says, until interrupted:

  - keep xdp-port's entry in the conflist of the network, even if another installer
    rewrites the conflist
  - install the programs into the folder of the CNI plugins if they are missing
  - give new rules to all running containers of the network, as apply does
  - remove the stale state of containers that are gone, as gc does
  - serve /metrics, /healthz (whether the agent works) and /readyz (whether the node
    is as configured, or what is not)

If one of the two folders is replaced, for example by an upgrade of k3s that changes
a symbolic link, the agent continues with the new folder. If the new folder is not
visible, as in a container, the agent fails and must be restarted.

The configuration is that of install --config: a file, which is read again when it
changes, or a key of a ConfigMap, which is watched. A configuration with errors
changes nothing; the errors are in the log, in the metrics and at /readyz.

When the agent ends everything stays as it is. With --daemonset it uninstalls
xdp-port if the API server confirms that the DaemonSet is being deleted. An error,
such as a missing permission, does not confirm it.`,
		Example: `  xdp-portctl agent --config /etc/xdp-port/rules.json
  xdp-portctl agent --configmap xdp-port/xdp-port --daemonset xdp-port --listen :9435`,
		Args: cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			o.Programs, o.Networks = p.bin, p.networks
			return errors.Join(p.check(), o.Check(), checkServing(o.Serving), checkLimits(o.Limits))
		},
		RunE: func(command *cobra.Command, _ []string) error { return t.runAgent(command.Context(), o) },
	}
	p.addTo(command)
	flags := command.Flags()
	flags.StringVar(&o.Config, "config", "", "file with xdp-port's entry")
	flags.StringVar(&o.ConfigMap, "configmap", "", "ConfigMap with xdp-port's entry, as NAMESPACE/NAME")
	flags.StringVar(&o.Key, "key", "xdp-port.json", "key in the ConfigMap")
	flags.StringVar(&o.DaemonSet, "daemonset", "", "DaemonSet, in the ConfigMap's namespace, whose deletion uninstalls xdp-port")
	addServing(command, &o.Serving, "127.0.0.1:9435")
	flags.DurationVar(&o.Interval, "interval", 30*time.Second, "time between two searches for differences that no event reported")
	flags.DurationVar(&o.GCInterval, "gc-interval", 5*time.Minute, "time between two runs of gc")
	addLimits(flags, &o.Limits)
	command.MarkFlagsOneRequired("config", "configmap")
	command.MarkFlagsMutuallyExclusive("config", "configmap")
	command.MarkFlagsMutuallyExclusive("config", "daemonset")
	return command
}

func (t *tool) runAgent(ctx context.Context, o agent.Options) (err error) {
	if o.Authorize, err = o.Serving.Authorizer(); err != nil {
		return fmt.Errorf("--require-token: %w", err)
	}
	o.Log, o.OnServing = slog.New(slog.NewTextHandler(t.err, nil)), t.printServing
	return agent.Run(ctx, o)
}
