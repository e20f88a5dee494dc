//go:build linux && (amd64 || arm64)

package conformance

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestOldKernel has the kernel refuse what older ones do not know, as they do:
// STATUS and ADD say which kernel is needed.
func TestOldKernel(t *testing.T) {
	n := node.ForTest(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for name, old := range map[string]struct {
		lacks func(ptrace.Call) bool
		parts []string // of the message
	}{
		"before 5.12": {func(c ptrace.Call) bool { return c.Loads(ebpf.XDP) }, []string{"XDP", "Linux 5.12"}},
		"before 5.8":  {func(c ptrace.Call) bool { return c.Creates(ebpf.RingBuf) }, []string{"ring buffers", "Linux 5.8"}},
	} {
		t.Run(name, func(t *testing.T) {
			node.NeedMode(t, "generic") // auto does without XDP then
			ask, add := status(t), l.call(t, "ADD", lab())
			ask.Run = onKernelWithout(old.lacks)
			add.Run = ask.Run
			fail(t, n, ask, 50, old.parts...)
			fail(t, n, add, 102, append(old.parts, "container a", "interface eth0")...)
			l.wantNoPrograms(t)
		})
	}
}

// TestBelowMinimum needs a kernel that is too old. STATUS and ADD must name the kernel to
// use, say nothing misleading, and leave no state.
func TestBelowMinimum(t *testing.T) {
	node.NeedTooOld(t)
	n := node.ForTest(t)
	before := node.State()
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	fail(t, n, status(t), 50, "Linux 5.12")
	add := l.call(t, "ADD", lab())
	fail(t, n, add, 102, "Linux 5.12", "container a", "interface eth0")
	if refusal := run(t, n, add).Refusal; strings.Contains(refusal.Error(), "MEMLOCK") {
		t.Errorf("ADD blames a limit: %s", refusal)
	}
	l.wantNoPrograms(t)
	succeed(t, n, l.call(t, "DEL", lab()))
	must(t, before.Unchanged())
}

// TestInexactMode configures each mode. If the kernel cannot make a mode exact, STATUS
// and ADD must say so and name another mode.
func TestInexactMode(t *testing.T) {
	n := node.ForTest(t)
	before := node.State()
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for _, mode := range []string{"generic", "native", "tc", "auto"} {
		asked := lab().with("mode", mode)
		ask := node.Call{Operation: "STATUS", Stdin: asked.without("prevResult").bytes(t)}
		if node.HasMode(t, mode) {
			succeed(t, n, ask)
			l.succeed(t, "ADD", asked)
			l.succeed(t, "DEL", asked)
			continue
		}
		fail(t, n, ask, 50, mode, `"mode"`, `"tc"`)
		fail(t, n, l.call(t, "ADD", asked), 103, mode, `"mode"`, `"tc"`)
	}
	must(t, before.Unchanged())
}

// onKernelWithout runs the plugin on a kernel that answers these calls with EINVAL.
func onKernelWithout(lacks func(ptrace.Call) bool) func(*exec.Cmd) error {
	return func(plugin *exec.Cmd) error {
		return ptrace.Run(plugin, pace.Patience(time.Minute), func(c ptrace.Call) ptrace.Verdict {
			if lacks(c) {
				return ptrace.Fail(unix.EINVAL)
			}
			return ptrace.Proceed
		})
	}
}
