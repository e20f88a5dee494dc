package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/plan"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// applyOptions are the flags of apply.
type applyOptions struct {
	dryRun, detach bool
}

func (t *tool) apply() *cobra.Command {
	var o applyOptions
	command := &cobra.Command{
		Use:   "apply CONFLIST",
		Short: "Give every running container of a network the rules of its conflist, now",
		Long: `Give every running container of a network the rules of its conflist, as a restart
would, but now: each packet is under the old rules or the new, and all of them
change in one instant. Counters and flows go on. A container's own rules stay
behind those of the network.

A conflist with mistakes changes nothing, nor does one that a container's own
rules do not go with. If a container cannot be changed for another reason it
keeps its rules, and the others go on. Another mode or tcHook cannot be had
without a gap of some milliseconds.

CONFLIST is a file, or - for stdin. Exits with 1 if a container was not changed
that should have been, with --dry-run if one would not be, and if only containers
of other networks are attached.`,
		Example: `  xdp-portctl apply /etc/cni/net.d/10-lab.conflist --dry-run
  xdp-portctl apply /etc/cni/net.d/10-lab.conflist`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeConflist,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := t.readValid(command.Context(), args[0])
			if err != nil {
				return err
			}
			changes, err := changesFor(c, o)
			if err != nil {
				return err
			}
			if o.dryRun {
				return t.printDifferences(changes)
			}
			if !makeAll(command.Context(), changes) {
				return errors.Join(t.printChanges(changes), errFound)
			}
			return t.printChanges(changes)
		},
	}
	command.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would change, and change nothing")
	command.Flags().BoolVar(&o.detach, "detach", false,
		"let a conflist without rules detach the containers, which only their restart attaches again")
	return command
}

// The outcomes of a change.
const (
	outcomeChanged   = "changed"
	outcomeUnchanged = "unchanged"
	outcomeDetached  = "detached"
	outcomeGone      = "gone" // the container stopped meanwhile
	outcomeFailed    = "failed"
)

// change is what one interface is to get, and what came of it.
type change struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Interface string `json:"interface"`
	Outcome   string `json:"outcome"`
	// DryRun says that the outcome is what would be, and that nothing was done.
	DryRun bool   `json:"dryRun,omitempty"`
	Error  string `json:"error,omitempty"`
	// Warning says that packets may pass the rules by, whatever came of the change.
	Warning string `json:"warning,omitempty"`
	// Difference is from the rules in force to those wanted, as diff has it.
	Difference string `json:"difference,omitempty"`

	from   *inspect.Attachment
	wanted state.Wanted
}

// changesFor works out what each running container is to get, before any is
// touched.
func changesFor(c *conflist, o applyOptions) ([]*change, error) {
	if len(c.network().Rules) == 0 && !o.detach {
		return nil, fmt.Errorf("%s has no rules, so that containers would be detached, and not found by the next apply: "+
			"say --detach if that is meant", c.path)
	}
	changes, networks, err := planAll(c)
	errs := []error{err}
	if err == nil && len(changes) == 0 && len(networks) > 0 {
		errs = append(errs, fmt.Errorf("no container of network %q is attached; there are containers of %s",
			c.Name, strings.Join(networks, ", ")))
	}
	for _, c := range changes {
		if c.Outcome == outcomeFailed {
			errs = append(errs, fmt.Errorf("%s: %s", c.from.Key(), c.Error))
		}
	}
	return changes, errors.Join(errs...)
}

// planAll works out what each running container is to get. Those whose own rules
// do not go with the network's have failed already. Networks are the names of
// those that have containers.
func planAll(c *conflist) (changes []*change, networks []string, err error) {
	list, err := inspect.Attachments()
	if err != nil {
		return nil, nil, err
	}
	for i := range list {
		a := &list[i]
		if !slices.Contains(networks, a.Network) {
			networks = append(networks, a.Network)
		}
		if a.Network != c.Name {
			continue
		}
		planned := &change{Network: a.Network, Container: a.Container, Interface: a.Interface, from: a}
		if planned.wanted, err = wantedOf(c.network(), a); err != nil {
			planned.Outcome, planned.Error = outcomeFailed, err.Error()
		}
		changes = append(changes, planned)
	}
	return changes, networks, nil
}

func wantedOf(entry *config.Entry, a *inspect.Attachment) (state.Wanted, error) {
	network, err := entry.ForContainer(a.ContainerRules())
	if err != nil {
		return state.Wanted{}, fmt.Errorf("with its own rules: %w", err)
	}
	return plan.Of(network)
}

// makeAll makes the changes, and tells whether all went well.
func makeAll(ctx context.Context, changes []*change) bool {
	fine := true
	for _, c := range changes {
		if c.Outcome == outcomeFailed { // before it began
			fine = false
			continue
		}
		err := ctx.Err()
		if err == nil {
			c.Outcome, err = c.make()
		}
		switch {
		case errors.Is(err, state.ErrNotAttached):
			c.Outcome = outcomeGone
		case err != nil:
			c.Outcome, c.Error, fine = outcomeFailed, err.Error(), false
		}
		if c.warn(); c.Warning != "" {
			fine = false
		}
	}
	return fine
}

// make holds the lock for one container only, so that others can start and
// stop in between.
func (c *change) make() (outcome string, err error) {
	store, err := state.OpenExisting()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if len(c.wanted.Ruleset.Rules) == 0 {
		return outcomeDetached, store.Detach(c.from.Key())
	}
	changed, err := store.Change(c.from.Key(), c.wanted)
	if changed {
		return outcomeChanged, err
	}
	return outcomeUnchanged, err
}

func (t *tool) printChanges(changes []*change) error {
	if t.wantsJSON() {
		return t.printJSON(struct {
			schema
			Changes []*change `json:"changes"`
		}{schemaNow, append([]*change{}, changes...)})
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(t.err, "no container of this network is attached")
		return err
	}
	colours := map[string]text.Color{outcomeChanged: text.FgGreen, outcomeFailed: text.FgRed}
	w := t.newTable(column{"network", cuts}, column{"container", 0}, column{"interface", 0}, column{"outcome", 0}, column{"", wraps})
	for _, c := range changes {
		outcome := c.Outcome
		if colour, has := colours[outcome]; has {
			outcome = t.paint(colour, outcome)
		}
		w.row(c.Network, shortID(c.Container), c.Interface, outcome, cmp.Or(c.Error, c.Warning))
	}
	return t.printTable(w)
}
