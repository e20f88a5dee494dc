package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/xdp-port/xdp-port/pkg/install"
)

// agent keeps a node as its configuration says.
type agent struct {
	options agentOptions
	log     *slog.Logger
	report  *report
	// isGoing tells whether the agent's DaemonSet is being deleted; nil where
	// there is none. It counts for what was seen to be there before.
	isGoing func(context.Context) (bool, error)
	seen    bool
	folders []install.Folder

	// entry is the last configuration without mistakes; nil until there is one.
	entry  *configFile
	rivals rivals
}

// soon is when to look again after a change: an ADD that had read the old rules
// may have been on its way.
const soon = 3 * time.Second

// run works until the context is done.
func (a *agent) run(
	ctx context.Context, configurations <-chan configuration, conflists <-chan struct{}, served <-chan error,
) error {
	due := time.Now().Add(a.options.interval)
	garbage := time.NewTicker(a.options.gcInterval)
	defer garbage.Stop()
	a.collect()
	a.keepPrograms()
	a.findDaemonSet(ctx)
	for {
		next := a.options.interval
		select {
		case <-ctx.Done():
			return a.leave()
		case err := <-served:
			if ctx.Err() == nil {
				return fmt.Errorf("serve %s: %w", a.options.listen, err)
			}
			continue
		case c := <-configurations:
			if a.configure(ctx, c) {
				next = soon
			}
		case <-conflists:
			a.keepConflist()
			next = soon
		case <-time.After(time.Until(due)):
			due = time.Now().Add(a.options.interval)
			if err := a.findFolders(); err != nil {
				return err
			}
			a.findDaemonSet(ctx)
			a.keepPrograms()
			a.keepConflist()
			a.reconcile(ctx)
		case <-garbage.C:
			a.collect()
		}
		a.report.alive()
		if a.report.has(aboutConflist) || a.report.has(aboutDaemonSet) { // others may mend those
			next = soon
		}
		// Never later: events may come faster than that.
		if sooner := time.Now().Add(next); sooner.Before(due) {
			due = sooner
		}
	}
}

// findFolders fails where a folder was replaced: in a container only a new one
// sees what is there now.
func (a *agent) findFolders() error {
	for _, folder := range a.folders {
		if folder.IsLost() {
			return fmt.Errorf("%s was removed, or another is in its place: the agent must be started anew", folder.Path())
		}
	}
	return nil
}

// keepPrograms puts back what somebody has removed: the conflist names the plugin,
// so that without it no container would start.
func (a *agent) keepPrograms() {
	if len(install.Missing(a.options.bin)) == 0 {
		a.settle(aboutPrograms, nil)
		return
	}
	own, err := ownFolder()
	var changed []string
	if err == nil {
		changed, err = install.Programs(own, a.options.bin)
	}
	for _, path := range changed {
		a.log.Warn("a program was missing, and is installed", "path", path)
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
		a.log.Info("xdp-port's entry was written", "conflist", path)
	}
	return changed
}

// reconcile gives running containers the rules of the conflist, and reports
// those that have others and keep them. As long as the conflist is not ours nobody
// knows what they are to have.
func (a *agent) reconcile(ctx context.Context) {
	if a.entry == nil || a.report.has(aboutConflist) {
		return
	}
	changes, err := a.differences()
	if err != nil {
		a.settle(aboutContainers, err)
		return
	}
	differing := changes[:0]
	for _, c := range changes {
		if c.Outcome == outcomeChanged || c.Outcome == outcomeDetached {
			a.log.Info("a container has other rules than configured", "interface", c.from.Key().String(), "difference", c.Difference)
			differing = append(differing, c)
		}
		if c.Outcome == outcomeFailed {
			differing = append(differing, c)
		}
	}
	makeAll(ctx, differing)
	a.tellChanges(differing)
}

// differences are what running containers have and what they are to have.
func (a *agent) differences() ([]*change, error) {
	path, err := a.options.networks.Path()
	if err != nil {
		return nil, err
	}
	c := &conflist{path: path}
	if c.text, err = os.ReadFile(path); err != nil {
		return nil, err
	}
	if err := c.parse(); err != nil {
		return nil, err
	}
	changes, _, err := planAll(c)
	if err != nil {
		return nil, err
	}
	return changes, compareAll(changes)
}

func (a *agent) tellChanges(changes []*change) {
	var errs []error
	for _, c := range changes {
		a.report.Changes.WithLabelValues(c.Outcome).Inc()
		if c.Outcome == outcomeFailed {
			errs = append(errs, fmt.Errorf("%s keeps other rules than configured: %s", c.from.Key(), c.Error))
		}
	}
	a.report.Drift.Set(float64(len(errs)))
	a.settle(aboutContainers, errors.Join(errs...))
}

// collect removes what containers left that are gone.
func (a *agent) collect() {
	keys, err := collect()
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
	if a.isGoing == nil || a.seen {
		a.settle(aboutDaemonSet, nil)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	going, err := a.isGoing(ctx)
	a.seen = err == nil && !going
	if err == nil && going {
		err = fmt.Errorf("%s is not there, or may not be read: with it xdp-port would not be uninstalled", a.options.daemonSet)
	}
	a.settle(aboutDaemonSet, err)
}

// leave uninstalls if the agent's DaemonSet is being deleted. In an upgrade or a
// reboot, or if the API server does not say, new containers go on to get their
// rules.
func (a *agent) leave() error {
	if !a.seen {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), askPatience)
	defer cancel()
	going, err := a.isGoing(ctx)
	if err != nil || !going {
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
