// Package affinity keeps a test on one CPU. Tests use it for what the kernel keeps
// per CPU, and where packets must stay in order.
package affinity

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// Stay keeps the goroutine on one of its allowed CPUs until the caller calls leave.
func Stay() (leave func(), err error) {
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := errors.Join(unix.SchedGetaffinity(0, &before), stayOn(firstOf(&before))); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}, nil
}

func stayOn(cpu int) error {
	var one unix.CPUSet
	one.Set(cpu)
	return unix.SchedSetaffinity(0, &one)
}

// firstOf returns the first allowed CPU. Containers may not be allowed to use CPU 0.
func firstOf(cpus *unix.CPUSet) (cpu int) {
	for cpus.Count() > 0 && !cpus.IsSet(cpu) {
		cpu++
	}
	return cpu
}
