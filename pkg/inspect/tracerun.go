package inspect

import (
	"errors"
	"os"
	"time"
)

// Sink receives the decisions of Trace.Run.
type Sink interface {
	// Write writes a decision, and may buffer it.
	Write(d *Decision) error
	// Flush writes out what is buffered. Run calls it when no more packets are waiting.
	Flush() error
	// LeftOut is called with the number of packets left out so far when it has grown.
	LeftOut(count uint64)
}

// Run writes decisions that match the filter until the trace is closed, or has written this
// many; 0 is no limit. It returns how many it wrote.
func (t *Trace) Run(filter *Filter, count int, out Sink) (written int, err error) {
	defer func() { err = errors.Join(err, out.Flush()) }()
	r := reporter{trace: t, out: out}
	for count == 0 || written < count {
		decision, err := r.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case errors.Is(err, os.ErrClosed):
			return written, nil
		case err != nil:
			return written, err
		case !filter.Matches(decision):
			continue
		}
		if err := out.Write(decision); err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

// reporter reports the number of packets left out at most once per second.
type reporter struct {
	trace   *Trace
	out     Sink
	leftOut uint64
	at      time.Time
}

// next returns the next decision. If none is waiting it flushes and waits for a short time.
func (r *reporter) next() (*Decision, error) {
	const patience = 200 * time.Millisecond
	decision, err := r.trace.Next(time.Now())
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return decision, err
	}
	if err := r.out.Flush(); err != nil {
		return nil, err
	}
	r.reportLeftOut()
	return r.trace.Next(time.Now().Add(patience))
}

func (r *reporter) reportLeftOut() {
	if leftOut := r.trace.LeftOut(); leftOut > r.leftOut && time.Since(r.at) > time.Second {
		r.out.LeftOut(leftOut)
		r.leftOut, r.at = leftOut, time.Now()
	}
}
