package traffic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"
)

// Core is a CPU that one thread uses alone while it measures. The thread is pinned to it and has
// real-time priority if the kernel allows it, so that other processes do not interrupt it.
type Core struct {
	// CPU is the number of the core.
	CPU int
	// RealTime is set if only the kernel interrupts a measurement.
	RealTime bool

	work      chan func()
	softirqd  string // the file with the run time of the core's ksoftirqd
	cycles    int    // a perf event, or -1 if the machine counts no cycles
	cyclesErr error
}

// Cost is the cost of some work on its core.
type Cost struct {
	// CPU is the busy time of the core, including the kernel's part.
	CPU time.Duration
	// Wall is the elapsed time.
	Wall time.Duration
	// Cycles are CPU cycles, or 0 if the machine does not count them.
	Cycles uint64
}

// OpenCore takes the last core that this process may use.
func OpenCore() (*Core, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("ask for the usable cores: %w", err)
	}
	core := &Core{work: make(chan func())}
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			core.CPU = cpu
		}
	}
	core.softirqd = findSoftirqd(core.CPU)
	core.cycles, core.cyclesErr = countCycles(core.CPU)
	ready := make(chan error)
	go core.serve(ready)
	return core, <-ready
}

// CountsCycles returns nil, or why the machine counts no cycles.
func (c *Core) CountsCycles() error { return c.cyclesErr }

// Close releases the core.
func (c *Core) Close() error {
	close(c.work)
	if c.cyclesErr != nil {
		return nil
	}
	return unix.Close(c.cycles)
}

// serve runs work on its own thread, which ends with it.
func (c *Core) serve(ready chan<- error) {
	runtime.LockOSThread()
	var only unix.CPUSet
	only.Set(c.CPU)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		ready <- fmt.Errorf("pin a thread to core %d: %w", c.CPU, err)
		return
	}
	c.RealTime = schedule(unix.SCHED_RR, 1) == nil
	ready <- nil
	for work := range c.work {
		work()
	}
}

// RealTime calls work on this thread with real-time priority, if the kernel allows it. Processes
// that work starts have it, too.
func RealTime(work func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if schedule(unix.SCHED_RR, 1) != nil {
		return work()
	}
	return errors.Join(work(), schedule(unix.SCHED_NORMAL, 0))
}

// schedule sets the scheduling policy of this thread. Real-time is round-robin, so that threads of a
// process that wait for each other all get their turn.
func schedule(policy, priority uint32) error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
}

// Do runs work on the core and returns its cost.
func (c *Core) Do(work func() error) (cost Cost, err error) {
	done := make(chan struct{})
	c.work <- func() {
		defer close(done)
		var before, after Cost
		if before, err = c.read(); err != nil {
			return
		}
		if err = work(); err != nil {
			return
		}
		after, err = c.read()
		cost = Cost{CPU: after.CPU - before.CPU, Wall: after.Wall - before.Wall, Cycles: after.Cycles - before.Cycles}
	}
	<-done
	return cost, err
}

// DoIn is Do in a network namespace.
func (c *Core) DoIn(in ns.NetNS, work func() error) (Cost, error) {
	return c.Do(func() (err error) {
		home, err := ns.GetCurrentNS()
		if err != nil {
			return err
		}
		defer home.Close()
		if err := in.Set(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, home.Set()) }()
		return work()
	})
}

// read returns the core's work so far for this thread, and for packets that ksoftirqd handled.
func (c *Core) read() (Cost, error) {
	var cpu, wall unix.Timespec
	if err := errors.Join(
		unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &cpu),
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &wall),
	); err != nil {
		return Cost{}, fmt.Errorf("read the clocks: %w", err)
	}
	cost := Cost{
		CPU:  time.Duration(cpu.Nano()) + runTime(c.softirqd),
		Wall: time.Duration(wall.Nano()),
	}
	if c.cyclesErr != nil {
		return cost, nil
	}
	var count [8]byte
	if _, err := unix.Read(c.cycles, count[:]); err != nil {
		return Cost{}, fmt.Errorf("read the cycle counter: %w", err)
	}
	cost.Cycles = binary.NativeEndian.Uint64(count[:])
	return cost, nil
}

// countCycles counts like `perf stat -e cycles -C cpu`.
func countCycles(cpu int) (int, error) {
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{
		Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_CPU_CYCLES, Size: unix.PERF_ATTR_SIZE_VER0,
	}, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("this machine counts no cycles: %w", err)
	}
	return fd, nil
}

// findSoftirqd returns the schedstat of the thread that handles packets when a core has too many, or
// an empty path.
func findSoftirqd(cpu int) string {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is valid
	for _, name := range names {
		if comm, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(comm)) == fmt.Sprint("ksoftirqd/", cpu) {
			return filepath.Join(filepath.Dir(name), "schedstat")
		}
	}
	return ""
}

// runTime reads the first field of a schedstat file.
func runTime(path string) time.Duration {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	field, _, _ := strings.Cut(string(text), " ")
	nanoseconds, _ := strconv.ParseInt(field, 10, 64)
	return time.Duration(nanoseconds)
}
