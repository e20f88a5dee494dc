package agent

import (
	"context"
	"fmt"
	"time"
)

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
		if a.report.has(aboutConflist) || a.report.has(aboutDaemonSet) { // others may resolve these
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
