package hook

import "time"

// A program of ours whose link was only just closed, by a process that was killed
// say, can hold its slot for some more milliseconds: the kernel detaches it later
// (kernel/bpf/syscall.c, bpf_link_put).
const (
	busyTries = 10
	busyPause = 5 * time.Millisecond
)

// tcxTries times busyPause is two seconds: the work queue and RCU are late on a busy machine.
const tcxTries = 400
