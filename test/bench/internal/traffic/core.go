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

// Core is a CPU that one thread has to itself while it measures: the thread is
// pinned to it and, where the kernel allows, real-time, so that other processes
// of the machine do not come in between.
type Core struct {
	// CPU is the number of the core.
	CPU int
	// RealTime says that nothing but the kernel interrupts what is measured.
	RealTime bool

	work      chan func()
	softirqd  string // the file that has the core's ksoftirqd's run time
	cycles    int    // a perf event, or -1 where the machine counts none
	cyclesErr error
}

// Cost is what some work took of its core.
type Cost struct {
	// CPU is the time that the core was busy with it, the kernel's part
	// included.
	CPU time.Duration
	// Wall is the time that it took.
	Wall time.Duration
	// Cycles are CPU cycles, 0 where the machine does not count them.
	Cycles uint64
}

// OpenCore takes the last core of those that this process may use.
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

// Close gives the core back.
func (c *Core) Close() error {
	close(c.work)
	if c.cyclesErr != nil {
		return nil
	}
	return unix.Close(c.cycles)
}

// serve runs work on a thread of its own, which ends with it.
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

// RealTime does some work on this thread, and starts processes, with real-time
// priority if the kernel allows it: other processes wait.
func RealTime(work func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if schedule(unix.SCHED_RR, 1) != nil {
		return work()
	}
	return errors.Join(work(), schedule(unix.SCHED_NORMAL, 0))
}

// schedule sets the scheduling policy of this thread. Real-time is round-robin:
// threads of one process that wait for each other must all get their turn.
func schedule(policy, priority uint32) error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
}

// Do runs work on the core and returns what it took.
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

// read returns what the core has done so far for this thread and for packets
// that ksoftirqd took over.
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

// countCycles counts what `perf stat -e cycles -C cpu` does.
func countCycles(cpu int) (int, error) {
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{
		Type: unix.PERF_TYPE_HARDWARE, Config: unix.PERF_COUNT_HW_CPU_CYCLES, Size: unix.PERF_ATTR_SIZE_VER0,
	}, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("this machine counts no cycles: %w", err)
	}
	return fd, nil
}

// findSoftirqd returns the schedstat of the thread that takes over when a core
// has too many packets, or an empty path.
func findSoftirqd(cpu int) string {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is good
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
