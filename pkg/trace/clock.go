package trace

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock turns the kernel's time of an event into that of the wall.
type clock struct{ boot time.Time }

func newClock() clock {
	return clock{time.Now().Round(0).Add(-time.Duration(monotonic()))}
}

func (c clock) at(monotonic uint64) time.Time { return c.boot.Add(time.Duration(monotonic)) }

// monotonic returns the time as bpf_ktime_get_ns does.
func monotonic() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // has no way to fail
	return uint64(now.Nano())
}
