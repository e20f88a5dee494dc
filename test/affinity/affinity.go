// Package affinity keeps tests on one CPU: for what the kernel does by CPU, and
// in order on one only.
package affinity

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// Stay keeps the goroutine on one of the CPUs that it may be on, until it calls
// what is returned.
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

// firstOf is not 0 where a process is kept from that CPU, as containers may be.
func firstOf(cpus *unix.CPUSet) (cpu int) {
	for cpus.Count() > 0 && !cpus.IsSet(cpu) {
		cpu++
	}
	return cpu
}
