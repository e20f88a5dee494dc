package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/xdp-port/xdp-port/pkg/apply"
	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/gc"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// agent keeps a node as its configuration says.
type agent struct {
	options agentOptions
	log     *slog.Logger
	report  *report
	// daemonSet is the agent's; nil where it has none. It was found once all that
	// leave asks could be read.
	daemonSet *cluster.DaemonSet
	isFound   bool
	folders

	// entry is the last configuration without mistakes; nil until there is one.
	entry *configFile
	// network is the last one that could be read, with an entry of xdp-port.
	network conflist
	rivals  rivals
}

const (
	// soon is when to look again after a change: an ADD that had read the old rules
	// may have been on its way.
	soon = 3 * time.Second
	// glance is how often to look at what costs nothing to look at.
	glance = 5 * time.Second
)

// run works until the context is done.
func (a *agent) run(ctx context.Context, configurations <-chan configuration, served <-chan error) error {
	due := time.Now().Add(a.options.interval)
	garbage := time.NewTicker(a.options.gcInterval)
	defer garbage.Stop()
	glances := time.NewTicker(min(glance, a.options.interval))
	defer glances.Stop()
	a.collect()
	a.keepPrograms()
	a.findForeign()
	a.findDaemonSet(ctx)
	for {
		next := a.options.interval
		select {
		case <-ctx.Done():
			return a.leave()
		case err := <-served:
			if ctx.Err() == nil {
				return fmt.Errorf("serve %s: %w", a.options.serving.Address, err)
			}
			continue
		case c := <-configurations:
			if a.configure(ctx, c) {
				next = soon
			}
		case _, open := <-a.conflists:
			if !open { // the context is done
				a.conflists = nil
				continue
			}
			a.keepConflist()
			next = soon
		case <-glances.C:
			moved, err := a.findFolders(ctx)
			if err != nil {
				return err
			}
			if moved {
				next = 0
			}
			a.keepPrograms()
		case <-time.After(time.Until(due)):
			due = time.Now().Add(a.options.interval)
			a.findDaemonSet(ctx)
			a.keepConflist()
			a.reconcile(ctx)
			a.findForeign()
		case <-garbage.C:
			a.collect()
		}
		a.report.alive()
		if a.report.has(aboutConflist) || a.report.has(aboutDaemonSet) { // others may solve those
			next = min(next, soon)
		}
		// Never later: events may come faster than that.
		if sooner := time.Now().Add(next); sooner.Before(due) {
			due = sooner
		}
	}
}

// keepPrograms puts back what somebody has removed: the conflist names the plugin,
// so that without it no container would start.
func (a *agent) keepPrograms() {
	if len(install.Missing(a.options.bin)) == 0 {
		a.settle(aboutPrograms, nil)
		return
	}
	a.installPrograms("a program was missing, and is installed")
}

func (a *agent) installPrograms(why string) {
	own, err := ownFolder()
	var changed []string
	if err == nil {
		changed, err = install.Programs(own, a.options.bin)
	}
	for _, path := range changed {
		a.log.Warn(why, "path", path)
	}
	a.settle(aboutPrograms, err)
}

// configure takes a new configuration, and tells whether it is one. That there is
// none is no problem where none was before.
func (a *agent) configure(ctx context.Context, c configuration) bool {
	if errors.Is(c.err, errNoConfiguration) && a.entry == nil && !a.options.networks.IsAdded() {
		a.log.Info("there is no configuration yet", "from", c.entry.path)
		for _, subject := range []string{aboutConfiguration, aboutConflist, aboutContainers} {
			a.settle(subject, nil)
		}
		return false
	}
	a.settle(aboutConfiguration, c.err)
	if c.err != nil {
		return false
	}
	if a.entry != nil && bytes.Equal(a.entry.text, c.entry.text) {
		return false
	}
	a.log.Info("new configuration", "from", c.entry.path)
	for _, warning := range c.entry.warnings() {
		a.log.Warn("a key of the configuration has no effect", "warning", warning)
	}
	a.entry = &c.entry
	a.addEntry()
	a.reconcile(ctx)
	return true
}

// keepConflist puts the entry back where it is missing, but gives in for a while
// to another installer that insists.
func (a *agent) keepConflist() {
	switch {
	case a.entry == nil:
	case a.rivals.tooMany():
		a.settle(aboutConflist, errQuarrel)
	case a.addEntry():
		a.rivals.note()
		a.log.Warn("the conflist was new, or rewritten by another installer")
	}
}

var errQuarrel = fmt.Errorf("another installer has rewritten it %d times within %s: it is left alone until that ends", rivalLimit, rivalMemory)

func (a *agent) addEntry() (changed bool) {
	path, changed, err := a.options.networks.Add(a.entry.text, checkConflist)
	a.settle(aboutConflist, err)
	if changed {
		a.report.Writes.Inc()
		a.log.Info("xdp-port's entry was written", "file", path)
	}
	return changed
}

// reconcile gives running containers the rules of the configuration, and reports
// those that keep others. It does so also while the conflist cannot be had as it is
// to be: what others make of that is no reason to leave a container without its
// rules.
func (a *agent) reconcile(ctx context.Context) {
	if a.entry == nil {
		return
	}
	if !a.findNetwork() {
		return // and that is reported about the conflist
	}
	planned, err := apply.Plan(a.network.Name, a.network.network())
	if err == nil {
		err = apply.Compare(planned.Changes)
	}
	if err != nil {
		a.settle(aboutContainers, err)
		return
	}
	var differing []*apply.Change
	for _, c := range planned.Changes {
		if c.Outcome == apply.Changed || c.Outcome == apply.Detached || c.Outcome == apply.Failed {
			differing = append(differing, c)
		}
	}
	explain(differing)
	apply.Make(ctx, differing)
	a.tellChanges(differing)
}

// explain looks once more at what was healthy when it was read, and is to be changed
// all the same, for what happened meanwhile.
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

// findNetwork reads the network as it is to be. Where that cannot be had right now
// it is the one from before, with the entry that is wanted now.
func (a *agent) findNetwork() bool {
	path, text, err := a.options.networks.Desired(a.entry.text)
	if err != nil && a.network.text != nil {
		path = a.network.path
		text, err = config.WithEntry(a.network.text, a.entry.text)
	}
	if err != nil {
		return false
	}
	network := conflist{path: path, text: text}
	if network.parse() == nil {
		a.network = network
	}
	return a.network.List != nil
}

// tellChanges says what was done, and keeps what could not be.
func (a *agent) tellChanges(changes []*apply.Change) {
	var errs []error
	for _, c := range changes {
		a.report.Changes.WithLabelValues(string(c.Outcome)).Inc()
		container := slog.String("interface", c.From.Key().String())
		problems := slog.String("problems", strings.Join(c.From.Problems, "; "))
		switch {
		case c.Outcome == apply.Failed:
			errs = append(errs, fmt.Errorf("%s keeps other rules than configured: %s", c.From.Key(), c.Error))
		case c.Outcome == apply.Detached:
			a.log.Info("the configuration has no rules: a container's were taken off", container)
		case c.Outcome != apply.Changed:
			a.log.Info("a container needed no change any more", container, slog.String("outcome", string(c.Outcome)))
		case c.Difference != "" && c.From.Healthy:
			a.log.Info("a container had other rules than configured, and got those", container, slog.String("difference", c.Difference))
		case c.Difference != "":
			a.log.Warn("a container had other rules than configured, and was not attached as it was to be: it got both",
				container, problems, slog.String("difference", c.Difference))
		case !c.From.Healthy:
			a.log.Warn("a container was not attached as it was to be, and is again", container, problems)
		default:
			a.log.Info("a container got the same rules by the programs of this build", container)
		}
	}
	a.report.Drift.Set(float64(len(errs)))
	a.settle(aboutContainers, errors.Join(errs...))
}

// collect removes what containers left that are gone.
func (a *agent) collect() {
	keys, err := gc.Collect()
	a.settle(aboutGarbage, err)
	for _, key := range keys {
		a.report.Collected.Inc()
		a.log.Info("removed what a container left that is gone", "interface", key.String())
	}
}

// settle notes a problem, or that it is over, and logs it once.
func (a *agent) settle(about string, err error) {
	if !a.report.settle(about, err) {
		return
	}
	if err != nil {
		a.log.Error(about, "error", err)
	} else {
		a.log.Info(about, "problem", "solved")
	}
}

// askPatience bounds a question to the API server.
const askPatience = 5 * time.Second

// findDaemonSet makes sure that leave can tell a deletion from an upgrade: a
// wrong name or permission must not look like one.
func (a *agent) findDaemonSet(ctx context.Context) {
	if a.daemonSet == nil || a.isFound {
		a.settle(aboutDaemonSet, nil)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	err := a.daemonSet.Find(ctx)
	if err != nil {
		err = fmt.Errorf("%s or its namespace cannot be read, so that xdp-port would not be uninstalled with it: %w", a.options.daemonSet, err)
	}
	a.isFound = err == nil
	a.settle(aboutDaemonSet, err)
}

// leave uninstalls if the agent's DaemonSet is being deleted. In an upgrade or a
// reboot, or if the API server does not say, new containers go on to get their
// rules.
func (a *agent) leave() error {
	if a.daemonSet == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), askPatience)
	defer cancel()
	deleted, err := a.daemonSet.IsBeingDeleted(ctx)
	if err != nil || !deleted {
		a.log.Info("the agent ends, xdp-port stays", "error", err)
		return nil
	}
	changed, err := a.options.networks.Remove()
	for _, path := range changed {
		a.log.Info("the DaemonSet is being deleted: the conflist is put back", "conflist", path)
	}
	if err != nil {
		return err
	}
	a.collect()
	why, err := needed(a.options.networks)
	if why != "" {
		a.log.Info("the programs stay", "folder", a.options.bin, "since", why)
	}
	if why != "" || err != nil {
		return err
	}
	_, err = install.RemovePrograms(a.options.bin)
	return err
}

// findForeign reports foreign tc programs ahead of any container's rules. It does not move
// them: there would be a gap in the rules, and no end if their owner insists too.
func (a *agent) findForeign() {
	list, err := inspect.Attachments()
	if err == nil {
		err = inspect.ForeignAhead(list)
	}
	a.settle(aboutForeign, err)
}
