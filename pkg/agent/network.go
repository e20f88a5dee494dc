package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/conflist"
)

// configure takes over a new configuration and reports whether it is one. A missing
// configuration is a problem only if there was one before.
func (a *agent) configure(ctx context.Context, c configuration) bool {
	if errors.Is(c.err, errNoConfiguration) && a.entry == nil && !a.options.Networks.IsAdded() {
		a.log.Info("there is no configuration yet", "from", c.entry.Path)
		for _, subject := range []string{aboutConfiguration, aboutConflist, aboutContainers} {
			a.record(subject, nil)
		}
		return false
	}
	a.record(aboutConfiguration, c.err)
	if c.err != nil {
		return false
	}
	if a.entry != nil && bytes.Equal(a.entry.Text, c.entry.Text) {
		return false
	}
	a.log.Info("new configuration", "from", c.entry.Path)
	for _, warning := range c.entry.Warnings() {
		a.log.Warn("a key of the configuration has no effect", "warning", warning)
	}
	a.entry = &c.entry
	a.addEntry()
	a.reconcile(ctx)
	return true
}

var errConflicting = fmt.Errorf("another installer has rewritten it %d times within %s: the agent leaves it alone until that ends",
	rewriteLimit, rewriteMemory)

// keepConflist adds the entry if it is missing. It gives way for a while to another installer
// that rewrites the conflist again and again.
func (a *agent) keepConflist() {
	switch {
	case a.entry == nil:
	case a.backoff.isActive():
		a.record(aboutConflist, errConflicting)
	case a.addEntry():
		a.backoff.rewritten()
		a.log.Warn("the conflist was new, or rewritten by another installer")
	}
}

func (a *agent) addEntry() (changed bool) {
	path, changed, err := a.options.Networks.Add(a.entry.Text, conflist.Check)
	a.record(aboutConflist, err)
	if changed {
		a.report.Writes.Inc()
		a.log.Info("xdp-port's entry was written", "file", path)
	}
	return changed
}
