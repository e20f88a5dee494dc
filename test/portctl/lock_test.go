//go:build linux && (amd64 || arm64)

package portctl

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/pace"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestReadersHoldNoLock expects the lock to be free whenever a reader reads a map of the kernel.
// Otherwise ADD would wait for all readers and containers.
func TestReadersHoldNoLock(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	attach(t, n)
	send(t, c, 7999, 3)
	for _, args := range []string{"list", "stats", "metrics", "gc"} {
		tool := node.ToolCommand(t, strings.Fields(args)...)
		var out bytes.Buffer
		tool.Stdout, tool.Stderr = &out, &out
		lookups, locked := 0, 0
		err := n.NS.Do(func(ns.NetNS) error {
			return ptrace.Run(tool, pace.Patience(time.Minute), func(c ptrace.Call) ptrace.Verdict {
				if c.Number == unix.SYS_BPF && c.Args[0] == unix.BPF_MAP_LOOKUP_ELEM {
					lookups++
					if !isFree(t) {
						locked++
					}
				}
				return ptrace.Proceed
			})
		})
		if err != nil || args != "gc" && !strings.Contains(out.String(), "cnitool") {
			t.Errorf("%s: %v: %s", args, err, out.String())
		}
		if lookups == 0 || locked > 0 {
			t.Errorf("%s: it held the lock at %d of %d look-ups", args, locked, lookups)
		}
	}
}

// isFree reports whether the lock is free.
func isFree(t *testing.T) bool {
	t.Helper()
	folder, err := os.Open(bpffs.Folder)
	must(t, err)
	defer folder.Close()
	err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		t.Error(err)
	}
	return err == nil
}
