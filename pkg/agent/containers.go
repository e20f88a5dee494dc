package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/apply"
	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/conflist"
	"github.com/xdp-port/xdp-port/pkg/gc"
	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// reconcile gives running containers the rules of the configuration, and reports those that
// keep others. It works even while the conflist cannot be changed: containers need their rules
// whatever other installers do.
func (a *agent) reconcile(ctx context.Context) {
	if a.entry == nil || !a.findNetwork() { // keepConflist reports why
		return
	}
	planned, err := apply.Plan(a.network.Name, a.network.Entry())
	if err == nil {
		err = apply.Compare(planned.Changes)
	}
	if err != nil {
		a.record(aboutContainers, err)
		return
	}
	var differing []*apply.Change
	for _, c := range planned.Changes {
		if slices.Contains([]apply.Outcome{apply.Changed, apply.Detached, apply.Failed}, c.Outcome) {
			differing = append(differing, c)
		}
	}
	explain(differing)
	apply.Make(ctx, differing)
	a.logChanges(differing)
}

// explain reads again what was healthy when it was read and differs all the same, to find out
// what has happened since.
func explain(changes []*apply.Change) {
	isOdd := func(c *apply.Change) bool { return c.Outcome == apply.Changed && c.Difference == "" && c.From.Healthy }
	if !slices.ContainsFunc(changes, isOdd) {
		return
	}
	list, err := inspect.Attachments()
	if err != nil {
		return // it is changed without an explanation
	}
	for _, c := range changes {
		at := slices.IndexFunc(list, func(a inspect.Attachment) bool { return a.Key() == c.From.Key() })
		if isOdd(c) && at >= 0 {
			c.From = &list[at]
		}
	}
}

// logChanges logs what was done, and reports what failed.
func (a *agent) logChanges(changes []*apply.Change) {
	var errs []error
	for _, c := range changes {
		a.report.Changes.WithLabelValues(string(c.Outcome)).Inc()
		if c.Outcome == apply.Failed {
			errs = append(errs, fmt.Errorf("%s keeps rules that differ from the configured ones: %s", c.From.Key(), c.Error))
			continue
		}
		a.logChange(c)
	}
	a.report.Drift.Set(float64(len(errs)))
	a.record(aboutContainers, errors.Join(errs...))
}

func (a *agent) logChange(c *apply.Change) {
	log := a.log.With("interface", c.From.Key().String())
	problems := slog.String("problems", strings.Join(c.From.Problems, "; "))
	switch {
	case c.Outcome == apply.Detached:
		log.Info("a container was detached: the configuration has no rules")
	case c.Outcome != apply.Changed:
		log.Info("a container needed no change any more", "outcome", c.Outcome)
	case c.Difference != "" && c.From.Healthy:
		log.Info("a container got the configured rules", "difference", c.Difference)
	case c.Difference != "":
		log.Warn("a container was damaged: it was repaired and got the configured rules", problems, slog.String("difference", c.Difference))
	case !c.From.Healthy:
		log.Warn("a container was damaged: it was repaired", problems)
	default:
		log.Info("a container got the programs of this build, with the same rules")
	}
}

// collect removes the stale state of containers that are gone.
func (a *agent) collect() {
	keys, err := gc.Collect()
	a.record(aboutGarbage, err)
	for _, key := range keys {
		a.report.Collected.Inc()
		a.log.Info("removed the stale state of a container", "interface", key.String())
	}
}

// findForeign reports foreign tc programs ahead of any container's rules. It does not move
// them: there would be a gap in the rules, and no end if their owner insists too.
func (a *agent) findForeign() {
	list, err := inspect.Attachments()
	if err == nil {
		err = inspect.ForeignAhead(list)
	}
	a.record(aboutForeign, err)
}

// findNetwork reads the desired network. If the conflist cannot be used now, the result is
// the network of before with the desired entry.
func (a *agent) findNetwork() bool {
	path, text, err := a.options.Networks.Desired(a.entry.Text)
	if err != nil && a.network != nil {
		path = a.network.Path
		text, err = confedit.WithEntry(a.network.Text, a.entry.Text)
	}
	if err != nil {
		return false
	}
	if network, err := conflist.New(path, confedit.Inlined{Text: text}); err == nil {
		a.network = network
	}
	return a.network != nil
}
