package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

func (t *tool) flows() *cobra.Command {
	return &cobra.Command{
		Use:   "flows CONTAINER",
		Short: "Show a container's live flows, by which replies are translated back",
		Long: `Show the live flows of a container: connections to ports that rules rewrite to,
whether a rule rewrote the port or the client used it directly.

ORIGINAL is the port that the client used, RULE the rule that rewrites it now. SOURCE
is the client's port before xdp-port changed it, which happens if an older connection
has the same ports. IDLE is the time since the last packet.

CONTAINER is an ID or the beginning of one.`,
		Example: `  xdp-portctl flows 3f4a
  xdp-portctl flows 3f4a -o json | jq '.flows | length'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContainer,
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := container(args[0])
			if err != nil {
				return err
			}
			return t.printFlows(list)
		},
	}
}

func portOrNothing(port uint16) string {
	if port == 0 {
		return ""
	}
	return fmt.Sprint(port)
}

// namedFlow is a flow and its interface.
type namedFlow struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Interface string `json:"interface"`
	inspect.Flow
}

func (t *tool) printFlows(list []inspect.Attachment) error {
	flows := []namedFlow{}
	for i := range list {
		a := &list[i]
		found, err := a.Flows()
		if err != nil {
			return fmt.Errorf("%s in network %s: %w", a.Interface, a.Network, err)
		}
		for _, flow := range found {
			flows = append(flows, namedFlow{a.Network, a.Container, a.Interface, flow})
		}
	}
	if t.wantsJSON() {
		return t.printJSON(struct {
			schema
			Flows []namedFlow `json:"flows"`
		}{schemaNow, flows})
	}
	source := column("source", right|wide)
	if slices.ContainsFunc(flows, func(f namedFlow) bool { return f.SourceBefore != 0 }) {
		source = column("source", right)
	}
	w := t.newTable(column("network", wide), column("container", wide), column("interface", wide), column("flow", 0),
		column("local", 0), column("peer", 0), column("original", right), source,
		column("state", 0), column("idle", right), column("rule", cuts))
	for _, f := range flows {
		w.Row(f.Network, shortID(f.Container), f.Interface, f.Direction+" "+f.Protocol,
			f.Local.String(), f.Peer.String(), fmt.Sprint(f.Original.Port()), portOrNothing(f.SourceBefore),
			f.State, fmt.Sprintf("%.0fs", f.Idle), f.Rule)
	}
	return t.printTable(w)
}
