package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

func (t *tool) flows() *cobra.Command {
	return &cobra.Command{
		Use:   "flows CONTAINER",
		Short: "Show the live flows of a container: whose replies are put right",
		Long: `Show the flows of a container that rules rewrite, whose replies get the original
port back: ORIGINAL is the one that the sender knows. RULE is the one that does so by now; it is empty for flows of rules
that are no more.

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
	w := t.newTable(column{"network", wide}, column{"container", wide}, column{"interface", wide}, column{"flow", 0},
		column{"local", 0}, column{"peer", 0}, column{"original", right}, column{"rule", cuts})
	for _, f := range flows {
		w.row(f.Network, shortID(f.Container), f.Interface, f.Direction+" "+f.Protocol,
			f.Local.String(), f.Peer.String(), fmt.Sprint(f.Original.Port()), f.Rule)
	}
	return t.printTable(w)
}
