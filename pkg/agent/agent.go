// Package agent keeps a node as its configuration says: the entry in the conflist, the
// programs, and the rules of running containers.
//
// It reacts to events, and looks at regular intervals for changes that no event reported. It
// reports what it cannot do in its log, its metrics and at /readyz, and goes on.
package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/conflist"
	"github.com/xdp-port/xdp-port/pkg/endpoint"
	"github.com/xdp-port/xdp-port/pkg/install"
	"github.com/xdp-port/xdp-port/pkg/metrics"
)

// Options configure the agent.
type Options struct {
	// Programs is the folder of the CNI plugins.
	Programs string
	Networks install.Networks

	// Config is a file with xdp-port's entry. Without it the entry is at a Key of a
	// ConfigMap, NAMESPACE/NAME.
	Config, ConfigMap, Key string
	// DaemonSet is the name of the agent's own, in the ConfigMap's namespace. When it is
	// deleted, the agent uninstalls xdp-port. It may be empty.
	DaemonSet string

	// Interval is the time between two searches for differences, GCInterval that between two
	// garbage collections.
	Interval, GCInterval time.Duration

	Serving endpoint.Options
	// Authorize decides about tokens. It may be nil if Serving requires none.
	Authorize endpoint.Authorize
	// OnServing is called with the URL at which the agent serves.
	OnServing func(url string)
	Limits    metrics.Limits

	Log *slog.Logger
}

// Run keeps the node until the context is done. It returns an error only for what a restart
// may repair.
func Run(ctx context.Context, o Options) error {
	a := &agent{options: o, log: o.Log, report: newReport()}
	follow, err := a.source()
	if err != nil {
		return err
	}
	if a.daemonSet != nil {
		// Follow it until Run returns: the agent is stopped before it can see the deletion.
		following, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		go a.daemonSet.Follow(following)
	}
	if err := a.openFolders(ctx); err != nil {
		return err
	}
	defer a.closeFolders()
	a.served = make(chan error, 1)
	go func() { a.served <- a.serve(ctx) }()
	a.configurations = make(chan configuration)
	go follow(ctx, a.configurations)
	return a.run(ctx)
}

// agent is the state of Run. Only the goroutine of run uses it, but for report.
type agent struct {
	options Options
	log     *slog.Logger
	report  *report
	folders
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

const (
	// soon is the time until the next search after a change: an ADD in progress may have
	// read the old rules.
	soon = 3 * time.Second
	// glance is the time between two looks at folders and programs, which are cheap.
	glance = 5 * time.Second
)

// run works until the context is done.
func (a *agent) run(ctx context.Context) error {
	s := newSchedule(a.options)
	defer s.stop()
	a.collect()
	a.keepPrograms()
	a.findForeign()
	a.findDaemonSet(ctx)
	for ctx.Err() == nil {
		next, err := a.step(ctx, s)
		if err != nil {
			return err
		}
		a.report.alive()
		if a.report.has(aboutConflist) || a.report.has(aboutDaemonSet) { // others may solve these
			next = min(next, soon)
		}
		s.within(next)
	}
	return a.leave()
}

// step waits for an event and handles it. It returns the time within which to search for
// differences.
func (a *agent) step(ctx context.Context, s *schedule) (next time.Duration, err error) {
	next = a.options.Interval
	select {
	case <-ctx.Done():
	case err := <-a.served:
		if ctx.Err() == nil {
			return 0, fmt.Errorf("serve %s: %w", a.options.Serving.Address, err)
		}
	case c := <-a.configurations:
		if a.configure(ctx, c) {
			next = soon
		}
	case _, open := <-a.conflists:
		if !open { // the context is done
			a.conflists = nil
			break
		}
		a.keepConflist()
		next = soon
	case <-s.glances.C:
		moved, err := a.findFolders(ctx)
		if err != nil {
			return 0, err
		}
		if moved {
			next = 0
		}
		a.keepPrograms()
	case <-time.After(time.Until(s.due)):
		s.due = time.Now().Add(a.options.Interval)
		a.findDaemonSet(ctx)
		a.keepConflist()
		a.reconcile(ctx)
		a.findForeign()
	case <-s.garbage.C:
		a.collect()
	}
	return next, nil
}

// schedule says when to do what no event asks for.
type schedule struct {
	due              time.Time // of the search for differences
	glances, garbage *time.Ticker
}

func newSchedule(o Options) *schedule {
	return &schedule{
		due:     time.Now().Add(o.Interval),
		glances: time.NewTicker(min(glance, o.Interval)),
		garbage: time.NewTicker(o.GCInterval),
	}
}

func (s *schedule) stop() {
	s.glances.Stop()
	s.garbage.Stop()
}

// within brings the search for differences forward. It never delays it: events may arrive
// faster than the interval.
func (s *schedule) within(d time.Duration) {
	if sooner := time.Now().Add(d); sooner.Before(s.due) {
		s.due = sooner
	}
}

// record keeps a problem, or that there is none, for the report, and logs a change.
func (a *agent) record(subject string, err error) {
	if !a.report.set(subject, err) {
		return
	}
	if err != nil {
		a.log.Error(subject, "error", err)
	} else {
		a.log.Info(subject, "problem", "solved")
	}
}
