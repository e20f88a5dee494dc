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

// group is a memory control group that this process and the plugins which it
// starts are in, so that the kernel counts its memory for them apart. It has no
// folder where the machine has no such groups.
type group struct{ folder string }

// enterGroup goes into a new group until the test ends.
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

// usage is how much kernel memory is charged to the group, in bytes.
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

// memoryGroup returns where memory control groups are, version 1 or 2, and
// which one this process is in.
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
