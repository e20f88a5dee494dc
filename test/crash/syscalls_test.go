//go:build linux && (amd64 || arm64)

package crash

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
)

// names are the names of the relevant system calls, with which the plugin looks at or
// changes the system. The Go runtime makes all others: memory, threads, signals, time.
var names = map[uint64]string{
	unix.SYS_BPF: "bpf", unix.SYS_SENDTO: "sendto", unix.SYS_SENDMSG: "sendmsg", unix.SYS_RECVFROM: "recvfrom",
	unix.SYS_RECVMSG: "recvmsg", unix.SYS_SOCKET: "socket", unix.SYS_BIND: "bind", unix.SYS_GETSOCKNAME: "getsockname",
	unix.SYS_SETSOCKOPT: "setsockopt", unix.SYS_SETNS: "setns", unix.SYS_MKDIRAT: "mkdirat", unix.SYS_RENAMEAT: "renameat",
	unix.SYS_RENAMEAT2: "renameat2", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_FLOCK: "flock", unix.SYS_OPENAT: "openat",
	unix.SYS_GETDENTS64: "getdents64", unix.SYS_MOUNT: "mount", unix.SYS_STATFS: "statfs",
	unix.SYS_NEWFSTATAT: "newfstatat", unix.SYS_FSTAT: "fstat", unix.SYS_CLOSE: "close", unix.SYS_READ: "read",
	unix.SYS_WRITE: "write", unix.SYS_IOCTL: "ioctl", unix.SYS_MEMBARRIER: "membarrier", unix.SYS_EXIT_GROUP: "exit_group",
}

func isRelevant(c ptrace.Call) bool { return names[c.Number] != "" }

// commands are the commands of bpf(2), include/uapi/linux/bpf.h.
var commands = [...]string{
	"MAP_CREATE", "MAP_LOOKUP_ELEM", "MAP_UPDATE_ELEM", "MAP_DELETE_ELEM", "MAP_GET_NEXT_KEY", "PROG_LOAD", "OBJ_PIN",
	"OBJ_GET", "PROG_ATTACH", "PROG_DETACH", "PROG_TEST_RUN", "PROG_GET_NEXT_ID", "MAP_GET_NEXT_ID", "PROG_GET_FD_BY_ID",
	"MAP_GET_FD_BY_ID", "OBJ_GET_INFO_BY_FD", "PROG_QUERY", "RAW_TRACEPOINT_OPEN", "BTF_LOAD", "BTF_GET_FD_BY_ID",
	"TASK_FD_QUERY", "MAP_LOOKUP_AND_DELETE_ELEM", "MAP_FREEZE", "BTF_GET_NEXT_ID", "MAP_LOOKUP_BATCH",
	"MAP_LOOKUP_AND_DELETE_BATCH", "MAP_UPDATE_BATCH", "MAP_DELETE_BATCH", "LINK_CREATE", "LINK_UPDATE",
	"LINK_GET_FD_BY_ID", "LINK_GET_NEXT_ID", "ENABLE_STATS", "ITER_CREATE", "LINK_DETACH", "PROG_BIND_MAP", "TOKEN_CREATE",
}

// changes reports whether a call can change what stays when the process ends: pins,
// maps, attached programs, devices. A kill at any other call leaves the same state
// as a kill at the next call that changes something, since the kernel closes the
// descriptors and releases the locks of a killed process.
func changes(c ptrace.Call) bool {
	switch c.Number {
	case unix.SYS_BPF:
		return c.Args[0] >= uint64(len(commands)) || changing[commands[c.Args[0]]]
	case unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_MKDIRAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT,
		unix.SYS_MOUNT, unix.SYS_IOCTL, unix.SYS_EXIT_GROUP:
		return true
	default:
		return false
	}
}

// changing are the commands of bpf(2) that change something that outlives the
// process. What MAP_CREATE, BTF_LOAD and PROG_LOAD make goes with its descriptor.
var changing = map[string]bool{
	"MAP_UPDATE_ELEM": true, "MAP_DELETE_ELEM": true, "MAP_LOOKUP_AND_DELETE_ELEM": true, "MAP_UPDATE_BATCH": true,
	"MAP_DELETE_BATCH": true, "MAP_LOOKUP_AND_DELETE_BATCH": true, "MAP_FREEZE": true, "OBJ_PIN": true,
	"PROG_ATTACH": true, "PROG_DETACH": true, "PROG_TEST_RUN": true, "LINK_CREATE": true, "LINK_UPDATE": true,
	"LINK_DETACH": true, "PROG_BIND_MAP": true,
}

// describe names a call in messages.
func describe(c ptrace.Call) string {
	switch name := names[c.Number]; {
	case name == "":
		return fmt.Sprintf("system call %d", c.Number)
	case c.Number == unix.SYS_BPF && c.Args[0] < uint64(len(commands)):
		return "bpf " + commands[c.Args[0]]
	default:
		return name
	}
}
