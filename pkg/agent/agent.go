// Package agent keeps a node as its configuration says: the entry in the conflist, the
// programs, and the rules of running containers.
//
// It reacts to events, and looks at regular intervals for changes that no event reported. It
// reports what it cannot do in its log, its metrics and at /readyz, and goes on.
package agent

import (
	"context"
	"log/slog"

	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/conflist"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// agent is the state of Run. Only the goroutine of run uses it, but for report.
type agent struct {
	options Options
	log     *slog.Logger
	report  *report

	// networks and programs are the folders that the agent keeps.
	networks, programs install.Folder
	// conflists reports changes in the folder of networks until stopWatching is called.
	conflists    <-chan struct{}
	stopWatching context.CancelFunc

	configurations chan configuration
	served         chan error

	// daemonSet is the agent's own; nil if it has none. isFound reports that all could be
	// read which leave depends on.
	daemonSet *cluster.DaemonSet
	isFound   bool

	// entry is the last valid configuration; nil until there is one.
	entry *conflist.EntryFile
	// network is the last valid conflist with an entry of xdp-port; nil until there is one.
	network *conflist.Conflist
	backoff backoff
}

// record keeps a problem, or that there is none, for the report, and logs a change.
func (a *agent) record(subject string, err error) {
	if !a.report.set(subject, err) {
		return
	}
	if err != nil {
		a.log.Error(subject, "error", err)
	} else {
		a.log.Info(subject, "problem", "resolved")
	}
}

// configuration is xdp-port's entry as it was read, or why it cannot be used.
type configuration struct {
	entry conflist.EntryFile
	err   error
}
