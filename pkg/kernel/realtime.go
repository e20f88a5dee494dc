package kernel

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// IsRealTime reports whether the kernel is built with PREEMPT_RT.
func IsRealTime() bool {
	var name unix.Utsname
	return unix.Uname(&name) == nil && bytes.Contains(name.Version[:], []byte("PREEMPT_RT"))
}
