package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// printDifferences shows what would change, the same change of several
// containers once.
func (t *tool) printDifferences(changes []*change) error {
	if err := compareAll(changes); err != nil {
		return err
	}
	err := t.printCompared(changes)
	if slices.ContainsFunc(changes, func(c *change) bool { return c.Outcome == outcomeFailed }) {
		err = errors.Join(err, errFound)
	}
	return err
}

func (t *tool) printCompared(changes []*change) error {
	if t.wantsJSON() || len(changes) == 0 {
		return t.printChanges(changes)
	}
	var order []string
	alike := map[string][]*change{}
	for _, c := range changes {
		kind := fmt.Sprint(c.Outcome, c.Difference, c.Error, c.from.Healthy)
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

// compareAll finds out what would come of each change. It holds the lock for one
// container only, as make does.
func compareAll(changes []*change) error {
	for _, c := range changes {
		c.DryRun = true
		if c.Outcome == outcomeFailed {
			continue
		}
		if err := c.compare(); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) compare() error {
	reader, err := state.OpenForReading()
	if errors.Is(err, os.ErrNotExist) {
		c.Outcome = outcomeGone
		return nil
	}
	if err != nil {
		return err
	}
	changes, err := reader.WouldChange(c.from.Key(), c.wanted)
	if err := errors.Join(err, reader.Close()); err != nil {
		c.Outcome, c.Error = outcomeFailed, err.Error()
		if errors.Is(err, state.ErrNotAttached) {
			c.Outcome, c.Error = outcomeGone, ""
		}
		return nil
	}
	switch {
	case !changes:
		c.Outcome = outcomeUnchanged
		return nil
	case len(c.wanted.Ruleset.Rules) == 0:
		c.Outcome = outcomeDetached
	default:
		c.Outcome = outcomeChanged
	}
	c.Difference = string(diff.Diff("in force", inForce(c.from), "wanted", wantedText(c.from, c.wanted)))
	return nil
}

// inForce has the options and the rules, one a line.
func inForce(a *inspect.Attachment) []byte {
	return lines(a.Mode, a.TCHook, a.FlowLimit, a.Rules)
}

func wantedText(a *inspect.Attachment, wanted state.Wanted) []byte {
	mode, hook := wanted.Ruleset.Mode.String(), wanted.Hook.String()
	if wanted.Fallback != nil && a.Mode == wanted.Fallback.Mode.String() {
		mode = a.Mode
	}
	if wanted.Hook == datapath.AutoHook {
		hook = a.TCHook
	}
	rules := make([]inspect.Rule, len(wanted.Ruleset.Rules))
	for i := range rules {
		rules[i] = inspect.RuleOf(i, &wanted.Ruleset.Rules[i])
	}
	return lines(mode, hook, wanted.Ruleset.Flows, rules)
}

func lines(mode, hook string, flows int, rules []inspect.Rule) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "mode %s, tc hook %s, %d flows\n", mode, hook, flows)
	for _, rule := range rules {
		fmt.Fprintf(&b, "%s: %s\n", rule.Name, rule)
	}
	return []byte(b.String())
}

func (t *tool) printAlike(changes []*change) {
	var names []string
	for _, c := range changes {
		names = append(names, shortID(c.Container)+" "+c.Interface)
	}
	which := strings.Join(names, ", ")
	c := changes[0]
	fmt.Fprintln(t.out, t.wrapped(c.foresee()+": "+which))
	switch {
	case c.Error != "":
		fmt.Fprintln(t.out, t.wrapped(gap+c.Error))
	case c.Difference != "":
		fmt.Fprintf(t.out, "%s", t.paintDiff(c.Difference))
	}
}

// foresee says in words what would come of a change.
func (c *change) foresee() string {
	switch {
	case c.Error != "":
		return "cannot be changed"
	case c.Outcome == outcomeUnchanged:
		return "as wanted already"
	case c.Outcome == outcomeGone:
		return "gone"
	case c.Difference == "" && !c.from.Healthy:
		return "would get the same rules, and what is missing of its attachment"
	case c.Difference == "":
		return "would get the same rules by the programs of this build"
	default:
		return "would be " + c.Outcome
	}
}

// paintDiff colours the lines of a diff, and leaves its heading out.
func (t *tool) paintDiff(difference string) string {
	var b strings.Builder
	for line := range strings.Lines(difference) {
		bare := strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "@@"),
			strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			continue
		case strings.HasPrefix(line, "+"):
			bare = t.paint(text.FgGreen, bare)
		case strings.HasPrefix(line, "-"):
			bare = t.paint(text.FgRed, bare)
		}
		b.WriteString("  " + bare + "\n")
	}
	return b.String()
}
