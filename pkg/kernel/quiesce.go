package kernel

import (
	"time"

	"golang.org/x/sys/unix"
)

// Quiesce returns when no program that was taken off before is running any
// more: it waits for an RCU grace period.
func Quiesce() {
	const global = 1 // MEMBARRIER_CMD_GLOBAL, include/uapi/linux/membarrier.h
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		time.Sleep(gracePeriod) // with nohz_full there is no such barrier
	}
}

// gracePeriod is longer than a program runs by far.
const gracePeriod = 50 * time.Millisecond
