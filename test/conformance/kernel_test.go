//go:build linux && amd64

package conformance

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/ptrace"
)

// TestOldKernel has the kernel refuse what older ones do not know, as they do:
// STATUS and ADD say which kernel is needed.
func TestOldKernel(t *testing.T) {
	n := newNode(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for name, old := range map[string]struct {
		lacks func(bpfCall) bool
		parts []string // of the message
	}{
		"before 5.12": {func(c bpfCall) bool { return c.loads(ebpf.XDP) }, []string{"XDP", "Linux 5.12"}},
		"before 5.8":  {func(c bpfCall) bool { return c.creates(ebpf.RingBuf) }, []string{"ring buffers", "Linux 5.8"}},
		"before 4.10": {func(c bpfCall) bool { return c.creates(ebpf.LRUHash) }, []string{"LRU", "Linux 4.10"}},
	} {
		t.Run(name, func(t *testing.T) {
			ask, add := status(t), l.call(t, "ADD", lab())
			ask.Run = onKernelWithout(old.lacks)
			add.Run = ask.Run
			fail(t, n, ask, 50, old.parts...)
			fail(t, n, add, 102, append(old.parts, "container a", "interface eth0")...)
			l.wantNoPrograms(t)
		})
	}
}

// onKernelWithout runs the plugin on a kernel that answers such calls with
// EINVAL.
func onKernelWithout(lacks func(bpfCall) bool) func(*exec.Cmd) error {
	return func(plugin *exec.Cmd) error {
		return ptrace.Run(plugin, pace.Patience(time.Minute), func(c ptrace.Call) ptrace.Verdict {
			if c.Number == unix.SYS_BPF && lacks(bpfCall(c)) {
				return ptrace.Fail(unix.EINVAL)
			}
			return ptrace.Proceed
		})
	}
}

// bpfCall is a call of bpf(2), whose type of map or program comes first in what
// its second argument points to.
type bpfCall ptrace.Call

func (c bpfCall) creates(kind ebpf.MapType) bool {
	return c.Args[0] == unix.BPF_MAP_CREATE && c.kind() == uint32(kind)
}

func (c bpfCall) loads(kind ebpf.ProgramType) bool {
	return c.Args[0] == unix.BPF_PROG_LOAD && c.kind() == uint32(kind)
}

func (c bpfCall) kind() uint32 {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", c.PID))
	if err != nil {
		return 0
	}
	defer memory.Close()
	var kind [4]byte
	_, _ = memory.ReadAt(kind[:], int64(c.Args[1]))
	return binary.NativeEndian.Uint32(kind[:])
}
