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
		Short: "Show the live flows of a container: whose replies are put right",
		Long: `Show the connections of a container to ports that rules rewrite to, be it by a rule
or directly. ORIGINAL is the port that the client asked for, RULE the rule that rewrites
it by now. SOURCE is the client's port before it was changed, which happens where an
older connection has the ports that this one would get. IDLE is how long ago the last
packet was. Flows that have expired are left out.

CONTAINER is the ID or the beginning of it.`,
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

// namedFlow is a flow and the interface that it goes by.
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
	source := column{"source", right | wide}
	if slices.ContainsFunc(flows, func(f namedFlow) bool { return f.SourceBefore != 0 }) {
		source = column{"source", right}
	}
	w := t.newTable(column{"network", wide}, column{"container", wide}, column{"interface", wide}, column{"flow", 0},
		column{"local", 0}, column{"peer", 0}, column{"original", right}, source,
		column{"state", 0}, column{"idle", right}, column{"rule", cuts})
	for _, f := range flows {
		w.row(f.Network, shortID(f.Container), f.Interface, f.Direction+" "+f.Protocol,
			f.Local.String(), f.Peer.String(), fmt.Sprint(f.Original.Port()), portOrNothing(f.SourceBefore),
			f.State, fmt.Sprintf("%.0fs", f.Idle), f.Rule)
	}
	return t.printTable(w)
}
