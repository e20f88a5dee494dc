//go:build linux && (amd64 || arm64)

package crash

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
)

// TestOneByOne has the kernel refuse that programs hand packets over to others,
// as old ones do on some architectures. Then rules are exchanged hook by hook: a
// kill on the way leaves some of either, until somebody settles it.
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

// refuseHandOver judges the calls of an ADD that exchanges rules. It kills it at
// the n-th of the steps behind the refusal, 0: at none.
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
