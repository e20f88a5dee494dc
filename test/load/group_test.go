package load

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// group is a memory control group with this process and the plugins that it starts, so
// that the kernel counts their memory separately. folder is empty if the machine has no
// memory groups.
type group struct{ folder string }

// enterGroup enters a new group until the test ends.
func enterGroup(t *testing.T) group {
	t.Helper()
	top, own := memoryGroup()
	if top == "" {
		t.Log("there are no memory control groups: kernel memory is not measured")
		return group{}
	}
	g := group{filepath.Join(top, fmt.Sprintf("xdp-port-load-%d", os.Getpid()))}
	if err := g.enter(); err != nil {
		t.Logf("kernel memory is not measured: %v", err)
		return group{}
	}
	t.Cleanup(func() {
		must(t, group{filepath.Join(top, own)}.join())
		must(t, os.Remove(g.folder))
	})
	return g
}

func (g group) enter() error {
	if err := os.Mkdir(g.folder, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(g.folder, "memory.stat")); err != nil {
		_ = os.Remove(g.folder)
		return err
	}
	return g.join()
}

func (g group) join() error {
	return os.WriteFile(filepath.Join(g.folder, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

// usage is the kernel memory charged to the group, in bytes.
func (g group) usage() int64 {
	if text, err := os.ReadFile(filepath.Join(g.folder, "memory.kmem.usage_in_bytes")); err == nil {
		return number(string(text))
	}
	text, _ := os.ReadFile(filepath.Join(g.folder, "memory.stat"))
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if kernel, ok := strings.CutPrefix(lines.Text(), "kernel "); ok {
			return number(kernel)
		}
	}
	return 0
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n
}

// memoryGroup returns the folder of memory control groups, version 1 or 2, and the group
// of this process.
func memoryGroup() (top, own string) {
	text, _ := os.ReadFile("/proc/self/cgroup")
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3)
		switch {
		case len(parts) == 3 && parts[1] == "memory":
			return "/sys/fs/cgroup/memory", parts[2]
		case len(parts) == 3 && parts[0] == "0":
			top, own = "/sys/fs/cgroup", parts[2]
		}
	}
	return top, own
}
