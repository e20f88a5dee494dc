//go:build linux && (amd64 || arm64)

package crash

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
)

// TestOneByOne makes the kernel refuse tail calls between programs, as old kernels do on
// some architectures. Then rules are replaced hook by hook, and after a kill the hooks
// have different rules until the next operation recovers the replacement.
func TestOneByOne(t *testing.T) {
	for _, hook := range []string{"tcx", "clsact"} {
		from, to := second(hook, "auto"), first(hook, "auto")
		w := newWorld(t, newStage(t))
		for kill := range 5 {
			t.Run(fmt.Sprintf("%s/%d", hook, kill), func(t *testing.T) {
				w.must(t, "ADD", from.config)
				killed, refused := w.traced(t, "ADD", to.config, refuseHandOver(t, kill))
				if refused != nil || killed != (kill > 0) {
					t.Fatalf("killed: %t, answer: %v", killed, refused)
				}
				w.runForAnother(t)
				w.mustSee(t, to.sight)
				w.must(t, "CHECK", to.config)
				w.must(t, "DEL", to.config)
				w.mustSee(t, untouched)
				w.mustBeClean(t)
			})
		}
	}
}

// refuseHandOver judges the calls of an ADD that replaces rules. It kills ADD at the
// n-th step after the refusal, or never if n is 0.
func refuseHandOver(t *testing.T, kill int) func(ptrace.Call) ptrace.Verdict {
	t.Helper()
	prepared, refused, steps := false, false, 0
	return func(c ptrace.Call) ptrace.Verdict {
		if c.Number != unix.SYS_BPF && c.Number != unix.SYS_SENDTO {
			return ptrace.Proceed
		}
		command := ""
		if c.Number == unix.SYS_BPF {
			command = commands[c.Args[0]]
		}
		switch {
		case command == "MAP_DELETE_ELEM": // of whom packets were handed over to
			prepared = true
		case command == "MAP_UPDATE_ELEM" && prepared && !refused:
			refused = true
			return ptrace.Fail(unix.EINVAL)
		case refused && (command == "LINK_UPDATE" || c.Number == unix.SYS_SENDTO):
			steps++
			if steps == kill {
				return ptrace.Kill
			}
		}
		return ptrace.Proceed
	}
}
