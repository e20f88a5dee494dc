package trace

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// control is a variable in the memory of the programs. A listener sets in it which
// packets it traces, and until when its lease runs.
type control struct {
	memory []byte
	shared *bpf.ProgramsTrace
	// mine is the last value that this listener wrote to Until.
	mine uint64
	// last is the number of events left out when the memory was unmapped.
	mutex sync.Mutex
	last  uint64
}

func openControl(dir string) (*control, error) {
	m, err := pin.OpenMap(dir, bpf.MapTrace)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if size := unsafe.Sizeof(bpf.ProgramsTrace{}); m.ValueSize() != uint32(size) {
		return nil, fmt.Errorf("the map %s is of another build: its value has %d bytes, not %d", bpf.MapTrace, m.ValueSize(), size)
	}
	memory, err := unix.Mmap(m.FD(), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the memory of %s: %w", bpf.MapTrace, err)
	}
	return &control{memory: memory, shared: (*bpf.ProgramsTrace)(unsafe.Pointer(&memory[0]))}, nil
}

// acquire takes the lease if no listener has one, or its time is over.
func (c *control) acquire() bool {
	now := monotonic()
	until := atomic.LoadUint64(&c.shared.Until)
	return until < now && c.swap(until, now+uint64(listenFor))
}

// renew extends the lease unless another listener has it. If this listener was late,
// the programs may have cleared the lease.
func (c *control) renew() bool {
	until := monotonic() + uint64(listenFor)
	return c.swap(c.mine, until) || c.swap(0, until)
}

func (c *control) swap(from, to uint64) bool {
	if !atomic.CompareAndSwapUint64(&c.shared.Until, from, to) {
		return false
	}
	c.mine = to
	return true
}

func (c *control) holds() bool {
	until := atomic.LoadUint64(&c.shared.Until)
	return until == c.mine || until == 0
}

func (c *control) release() { atomic.CompareAndSwapUint64(&c.shared.Until, c.mine, 0) }

func (c *control) set(options Options) {
	atomic.StoreUint32(&c.shared.Ifindex, uint32(options.Device))
	atomic.StoreUint32(&c.shared.Sample, uint32(options.Sample))
}

func (c *control) leftOut() uint64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.shared != nil {
		c.last = atomic.LoadUint64(&c.shared.LeftOut)
	}
	return c.last
}

// Close unmaps the memory. Only leftOut may be called afterwards.
func (c *control) Close() error {
	c.leftOut()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.shared = nil
	return unix.Munmap(c.memory)
}

// Options select the packets that a listener gets.
type Options struct {
	// Device is the index of the only device to trace; 0 is all.
	Device int
	// Sample traces one in so many packets, chosen at random; 0 and 1 trace each.
	Sample int
	// RingSize is that of the ring buffer in bytes, at least; 0 is 1 MiB,
	// which has room for some 5,000 events.
	RingSize int
}

// Whoever listens says so every second. The programs forget a listener that
// did not say so for longer.
const (
	listenFor  = 3 * time.Second
	renewEvery = time.Second
)
