package trace

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// ErrListening is the error if another process is tracing: all containers share one
// ring buffer.
var ErrListening = errors.New("trace listener conflict")

const defaultRingSize = 1 << 20

// Listener receives an event for each packet of all containers, whatever their rules.
//
// Without a listener, tracing costs a packet one branch. The lease of a killed listener
// expires after three seconds, but its ring buffer stays until the next one starts or
// the last container is detached.
type Listener struct {
	control *control
	rings   *ebpf.Map
	ring    *ebpf.Map
	reader  *ringbuf.Reader
	clock   clock
	// leftOutBefore is the number of events left out before it began.
	leftOutBefore uint64
	stop, stopped chan struct{}
	leaseErr      atomic.Pointer[error] // why the lease ended
	closing       sync.Once
}

// Listen starts to trace the packets of all rulesets. They share the maps of the one
// pinned in dir. The caller must Close the result, and call Next often enough.
//
// Returns an error wrapping ErrListening if another process is tracing, or
// os.ErrNotExist if the build of the ruleset does not trace.
func Listen(dir string, options Options) (*Listener, error) {
	l := &Listener{clock: newClock(), stop: make(chan struct{}), stopped: make(chan struct{})}
	if err := l.open(dir, options); err != nil {
		return nil, errors.Join(err, l.closeAll())
	}
	if err := l.begin(options); err != nil {
		return nil, errors.Join(err, l.closeAll())
	}
	go l.renew()
	return l, nil
}

func (l *Listener) open(dir string, options Options) (err error) {
	if l.control, err = openControl(dir); err != nil {
		return err
	}
	if l.rings, err = pin.OpenMap(dir, bpf.ProgramsMapTraceRings); err != nil {
		return err
	}
	l.ring, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "xdp_port_trace", Type: ebpf.RingBuf, MaxEntries: ringSize(options.RingSize),
	})
	if err != nil {
		return fmt.Errorf("make the ring buffer: %w", err)
	}
	if l.reader, err = ringbuf.NewReader(l.ring); err != nil {
		return fmt.Errorf("read the ring buffer: %w", err)
	}
	return nil
}

// ringSize rounds up to a size that the kernel accepts: a power of two, in whole pages.
func ringSize(desired int) uint32 {
	if desired <= 0 {
		desired = defaultRingSize
	}
	size := uint32(os.Getpagesize())
	for size < uint32(min(desired, 1<<30)) {
		size *= 2
	}
	return size
}

// begin first takes the lease, so that there is one listener. It sets the ring buffer
// last, so that the buffer contains only the selected packets.
func (l *Listener) begin(options Options) error {
	if !l.control.acquire() {
		return fmt.Errorf("%w: another process is tracing: wait until it ends; a trace that was killed ends after %s", ErrListening, listenFor)
	}
	l.control.set(options)
	l.leftOutBefore = l.control.leftOut()
	if err := l.rings.Put(uint32(0), l.ring); err != nil {
		l.control.release()
		return fmt.Errorf("hand over the ring buffer: %w", err)
	}
	return nil
}

// renew renews the lease until Close.
func (l *Listener) renew() {
	defer close(l.stopped)
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
			if !l.control.renew() {
				err := fmt.Errorf("%w: another process took over, because this one was stopped for more than %s", ErrListening, listenFor)
				l.leaseErr.Store(&err)
				_ = l.reader.Close()
				return
			}
		}
	}
}

// Next waits for the next event. Events come in the order in which the kernel
// decided.
//
// Returns an error wrapping os.ErrDeadlineExceeded after the time of
// SetDeadline, os.ErrClosed after Close, ErrListening if another listener took
// over because this process stood still for seconds.
func (l *Listener) Next() (*Event, error) {
	record, err := l.reader.Read()
	if leaseErr := l.leaseErr.Load(); err != nil && leaseErr != nil {
		return nil, *leaseErr
	}
	if err != nil {
		return nil, fmt.Errorf("read the trace: %w", err)
	}
	return decodeEvent(record.RawSample, l.clock)
}

// SetDeadline bounds the wait of Next; the zero time unbounds it.
func (l *Listener) SetDeadline(t time.Time) { l.reader.SetDeadline(t) }

// LeftOut returns the number of events that found the ring buffer full, also
// after Close.
func (l *Listener) LeftOut() uint64 {
	return l.control.leftOut() - l.leftOutBefore
}

// Hears reports whether the packets of the ruleset pinned in dir are among those
// of this listener: not if it was loaded when all others were gone.
func (l *Listener) Hears(dir string) (bool, error) {
	rings, err := pin.OpenMapIfExists(dir, bpf.ProgramsMapTraceRings)
	if rings == nil || err != nil {
		return false, err
	}
	defer rings.Close()
	return pin.SameMap(rings, l.rings)
}

// Close ends the trace, unless another listener has taken over.
func (l *Listener) Close() (err error) {
	l.closing.Do(func() {
		close(l.stop)
		<-l.stopped
		if l.control.holds() {
			_ = l.rings.Delete(uint32(0)) // nothing there is fine, too
			l.control.release()
		}
		err = l.closeAll()
	})
	return err
}

func (l *Listener) closeAll() error {
	var errs []error
	if l.reader != nil {
		errs = append(errs, l.reader.Close())
	}
	for _, m := range []*ebpf.Map{l.ring, l.rings} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	if l.control != nil {
		errs = append(errs, l.control.Close())
	}
	return errors.Join(errs...)
}
