//go:build linux && (amd64 || arm64)

package crash

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
)

// errnos are errors that the kernel answers with.
var errnos = []unix.Errno{unix.ENOMEM, unix.EBUSY, unix.EPERM, unix.EEXIST, unix.EINTR, unix.ENOSPC, unix.EROFS}

// TestFault makes each system call of ADD fail in turn. If ADD succeeds, its rules
// must be in force. If it fails, its error must say what it was doing, and everything
// must be as before. If the container had rules before, those or the new ones may be
// in force.
func TestFault(t *testing.T) {
	for i, s := range scenarios(t) {
		if s.desired != nil {
			t.Run(s.name, func(t *testing.T) { s.runFaults(t, i) })
		}
	}
}

// runFaults gives each call one error, beginning with errnos[first]. So scenarios that
// make the same call see it fail with different errors.
func (s *scenario) runFaults(t *testing.T, first int) {
	s.need(t)
	st := newStage(t)
	neighbour := newWorld(t, st)
	if s.neighbour != nil {
		neighbour.must(t, "ADD", s.neighbour.config)
	}
	w := newWorld(t, st)
	calls := 0
	s.prepare(t, w)
	s.traced(t, w, func(c ptrace.Call) ptrace.Verdict {
		if canFail(c) {
			calls++
		}
		return ptrace.Proceed
	})
	s.finish(t, w, false)
	stride := s.stride(calls)
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		stride = 1
	}
	for i := 0; i < calls; i += stride {
		errno := errnos[(first+i/stride)%len(errnos)]
		t.Run(fmt.Sprintf("%d/%s", i, unix.ErrnoName(errno)), func(t *testing.T) { s.fault(t, w, i, errno) })
	}
	if s.neighbour != nil {
		neighbour.mustSee(t, s.neighbour.sight)
	}
}

// stride is the distance between failing calls in a sample, so that the time of a
// sample does not grow with the number of calls.
func (s *scenario) stride(calls int) int {
	const least, sample = 3, 14
	return max(least, calls/sample)
}

// fault runs the scenario once and makes one system call fail.
func (s *scenario) fault(t *testing.T, w *world, n int, errno unix.Errno) {
	s.prepare(t, w)
	calls := 0
	var failed ptrace.Call
	_, refused := w.traced(t, "ADD", s.desired.config, func(c ptrace.Call) ptrace.Verdict {
		if !canFail(c) {
			return ptrace.Proceed
		}
		calls++
		if calls-1 != n {
			return ptrace.Proceed
		}
		failed = c
		return failing(c, errno)
	})
	t.Logf("%s failed with %v: %v", describe(failed), errno, refused)
	s.judge(t, w, failed, refused)
	if s.before == nil && refused != nil {
		w.mustBeClean(t)
	}
	s.finish(t, w, n%2 == 0)
}

func (s *scenario) judge(t *testing.T, w *world, failed ptrace.Call, refused *refusal) {
	t.Helper()
	if refused == nil {
		w.mustSee(t, s.desired.sight)
		w.must(t, "CHECK", s.desired.config)
		return
	}
	for _, part := range []string{w.c.PluginID(), w.c.IfName, "lab"} {
		if !strings.Contains(refused.Msg, part) {
			t.Errorf("the message %q lacks %q", refused.Msg, part)
		}
	}
	if codes := codesOf(failed); !slices.Contains(codes, refused.Code) {
		t.Errorf("the code is %d, should be one of %v", refused.Code, codes)
	}
	if s.before == nil {
		w.mustSee(t, untouched)
		return
	}
	w.mustSee(t, s.before.sight, s.desired.sight)
	s.mustRecover(t, w)
}

// canFail leaves out calls that fail on no kernel, the ones that read the
// configuration and write the result, and bind: after a failed bind the netlink
// library closes the socket twice, and the second close may close a new descriptor.
func canFail(c ptrace.Call) bool {
	switch c.Number {
	case unix.SYS_CLOSE, unix.SYS_EXIT_GROUP, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_MEMBARRIER, unix.SYS_BIND:
		return false
	}
	return isRelevant(c)
}

// codesOf returns the CNI codes that fit the failure of a call.
func codesOf(c ptrace.Call) []uint {
	switch c.Number {
	case unix.SYS_BPF:
		switch commands[c.Args[0]] {
		case "LINK_CREATE", "LINK_UPDATE", "LINK_DETACH", "PROG_QUERY":
			return []uint{103}
		case "OBJ_PIN", "OBJ_GET":
			return []uint{105}
		case "MAP_CREATE", "PROG_LOAD", "BTF_LOAD", "MAP_FREEZE":
			return []uint{102}
		}
		return []uint{102, 103, 105}
	case unix.SYS_IOCTL:
		if c.Args[1] == unix.SIOCGIFNAME { // is the device still there?
			return []uint{103}
		}
		return []uint{8}
	case unix.SYS_SETNS:
		return []uint{8}
	case unix.SYS_MKDIRAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_GETDENTS64, unix.SYS_STATFS:
		return []uint{105}
	case unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SOCKET, unix.SYS_BIND, unix.SYS_GETSOCKNAME, unix.SYS_SETSOCKOPT:
		return []uint{8, 101, 103}
	}
	return []uint{8, 101, 102, 103, 105}
}

// failing makes the kernel answer with an error. Netlink puts errors into messages.
func failing(c ptrace.Call, errno unix.Errno) ptrace.Verdict {
	if c.Number == unix.SYS_RECVFROM {
		return ptrace.Change(func(memory *os.File, result int64) int64 {
			if result < unix.SizeofNlMsghdr {
				return result
			}
			return refuse(memory, int64(c.Args[1]), errno)
		})
	}
	return ptrace.Fail(errno)
}
