package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/apply"
	"github.com/xdp-port/xdp-port/pkg/conflist"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

// applyOptions are the flags of apply.
type applyOptions struct {
	dryRun, detach bool
}

func (t *tool) apply() *cobra.Command {
	var o applyOptions
	command := &cobra.Command{
		Use:   "apply CONFLIST",
		Short: "Give all running containers of a network the rules of its conflist",
		Long: `Give all running containers of a network the rules of its conflist, without a
restart. All rules of a container change at one instant: each packet is subject to
the old rules or to the new ones. Counters and flows are kept. The container's own
rules stay behind those of the network.

If the conflist has errors, or conflicts with the own rules of a container, nothing
is changed. If one container cannot be changed for another reason, it keeps its
rules and the others are changed. A change of mode or tcHook leaves a container
without rules for some milliseconds.

CONFLIST is a file, or - for stdin. Exits with 1 if a container keeps rules that
should change (with --dry-run: would keep them), or if only containers of other
networks are attached.`,
		Example: `  xdp-portctl apply /etc/cni/net.d/10-lab.conflist --dry-run
  xdp-portctl apply /etc/cni/net.d/10-lab.conflist`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeConflist,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := t.readValid(command.Context(), args[0])
			if err != nil {
				return err
			}
			changes, err := planChanges(c, o)
			if err != nil {
				return err
			}
			if o.dryRun {
				return t.printComparison(changes)
			}
			if !apply.Make(command.Context(), changes) {
				return errors.Join(t.printChanges(changes), errFound)
			}
			return t.printChanges(changes)
		},
	}
	command.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would change, and change nothing")
	command.Flags().BoolVar(&o.detach, "detach", false,
		"let a conflist without rules detach the containers; only a restart attaches them again")
	return command
}

// planChanges plans all changes before any is made.
func planChanges(c *conflist.Conflist, o applyOptions) ([]*apply.Change, error) {
	if len(c.Entry().Rules) == 0 && !o.detach {
		return nil, fmt.Errorf("%s has no rules: this would detach the containers, and the next apply would not find them; "+
			"use --detach to do so", c.Path)
	}
	planned, err := apply.Plan(c.Name, c.Entry())
	if err != nil {
		return nil, err
	}
	return planned.Changes, planned.Check()
}

func (t *tool) printChanges(changes []*apply.Change) error {
	if t.wantsJSON() {
		return t.printJSON(struct {
			schema
			Changes []*apply.Change `json:"changes"`
		}{schemaNow, append([]*apply.Change{}, changes...)})
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(t.err, "no container of this network is attached")
		return err
	}
	colours := map[apply.Outcome]terminal.Colour{apply.Changed: terminal.Green, apply.Failed: terminal.Red}
	w := t.newTable(column("network", cuts), column("container", 0), column("interface", 0), column("outcome", 0), column("", wraps))
	for _, c := range changes {
		outcome := string(c.Outcome)
		if colour, has := colours[c.Outcome]; has {
			outcome = t.out.Paint(colour, outcome)
		}
		w.Row(c.Network, shortID(c.Container), c.Interface, outcome, cmp.Or(c.Error, c.Warning))
	}
	return t.printTable(w)
}

// printComparison shows what would change.
func (t *tool) printComparison(changes []*apply.Change) error {
	if err := apply.Compare(changes); err != nil {
		return err
	}
	err := t.printCompared(changes)
	if slices.ContainsFunc(changes, func(c *apply.Change) bool { return c.Outcome == apply.Failed }) {
		err = errors.Join(err, errFound)
	}
	return err
}

// printCompared prints the same change of several containers once.
func (t *tool) printCompared(changes []*apply.Change) error {
	if t.wantsJSON() || len(changes) == 0 {
		return t.printChanges(changes)
	}
	var order []string
	alike := map[string][]*apply.Change{}
	for _, c := range changes {
		kind := fmt.Sprint(c.Outcome, c.Difference, c.Error, c.From.Healthy)
		if alike[kind] == nil {
			order = append(order, kind)
		}
		alike[kind] = append(alike[kind], c)
	}
	for _, kind := range order {
		t.printAlike(alike[kind])
	}
	return nil
}

func (t *tool) printAlike(changes []*apply.Change) {
	var names []string
	for _, c := range changes {
		names = append(names, shortID(c.Container)+" "+c.Interface)
	}
	c := changes[0]
	fmt.Fprintln(t.out, t.wrap(predict(c)+": "+strings.Join(names, ", ")))
	switch {
	case c.Error != "":
		fmt.Fprintln(t.out, t.wrap(terminal.Gap+c.Error))
	case c.Difference != "":
		fmt.Fprintf(t.out, "%s", t.out.PaintDiff(c.Difference))
	}
}

// predict describes the outcome of a change that was compared.
func predict(c *apply.Change) string {
	switch {
	case c.Error != "":
		return "cannot be changed"
	case c.Outcome == apply.Unchanged:
		return "up to date"
	case c.Outcome == apply.Gone:
		return "gone"
	case c.Difference == "" && !c.From.Healthy:
		return "would be repaired, with the same rules"
	case c.Difference == "":
		return "would get the programs of this build, with the same rules"
	default:
		return "would be " + string(c.Outcome)
	}
}
