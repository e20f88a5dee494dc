// Package memgroup measures the kernel memory of the plugin's processes and of everything that they pin.
package memgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// Group is a memory control group, of version 2 or 1.
type Group struct {
	folder string
	// usage reads the kernel memory charged to the group, in bytes.
	usage func() (float64, error)
}

// New makes a group if this machine has the controller.
func New(suffix string) (*Group, error) {
	name := fmt.Sprintf("xdp-port-bench-%d-%s", os.Getpid(), suffix)
	g := &Group{folder: filepath.Join("/sys/fs/cgroup/memory", name)}
	g.usage = func() (float64, error) { return readNumber(filepath.Join(g.folder, "memory.kmem.usage_in_bytes")) }
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		g.folder = filepath.Join("/sys/fs/cgroup", name)
		g.usage = func() (float64, error) { return readStat(filepath.Join(g.folder, "memory.stat"), "kernel") }
		_ = os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0) // usage fails if the controller is missing
	}
	if err := os.Mkdir(g.folder, 0o755); err != nil {
		return nil, fmt.Errorf("make a memory control group: %w", err)
	}
	if _, err := g.usage(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Command returns a command that runs a program in the group, or without one if there is none.
func (g *Group) Command(program string) *exec.Cmd {
	if g == nil {
		return exec.Command(program)
	}
	return exec.Command("sh", "-c", `echo $$ >"$1" && exec "$2"`, "sh", filepath.Join(g.folder, "cgroup.procs"), program)
}

// AccountNames are the names of the accounts.
var AccountNames = []string{"maps and programs", "control group"}

// Accounts returns the kernel memory of all pinned objects, and of the group, in bytes.
func (g *Group) Accounts() ([]float64, error) {
	charged, err := g.stableUsage()
	if err != nil {
		return nil, err
	}
	pinned, err := pinnedMemory()
	return []float64{float64(pinned), charged}, err
}

// stableUsage is usage once it no longer changes. The kernel frees the memory of ended processes some
// time after them.
func (g *Group) stableUsage() (charged float64, err error) {
	const pause, patience, quiet = 50 * time.Millisecond, 60, 4
	for tries, same := 0, 0; tries < patience && same < quiet; tries++ {
		now, err := g.usage()
		if err != nil {
			return 0, err
		}
		same++
		if now != charged {
			charged, same = now, 0
		}
		time.Sleep(pause)
	}
	return charged, nil
}

// Close removes the group. The last process leaves it some time after Wait.
func (g *Group) Close() (err error) {
	for deadline := time.Now().Add(node.ToolTimeout); ; time.Sleep(10 * time.Millisecond) {
		if err = os.Remove(g.folder); !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}

// pinnedMemory adds up the kernel's figures for all maps and programs that xdp-port has pinned.
func pinnedMemory() (total uint64, err error) {
	maps := map[ebpf.MapID]bool{}
	err = filepath.WalkDir(node.StateFolder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if program, err := ebpf.LoadPinnedProgram(path, nil); err == nil {
			defer program.Close()
			info, err := program.Info()
			if err != nil {
				return err
			}
			bytes, _ := info.Memlock()
			total += bytes
			return nil
		}
		m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return nil // a link
		}
		defer m.Close()
		info, err := m.Info()
		if err != nil {
			return err
		}
		if id, _ := info.ID(); !maps[id] {
			maps[id] = true
			bytes, _ := info.Memlock()
			total += bytes
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return total, nil
	}
	return total, err
}

func readNumber(path string) (float64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
}

// readStat reads one value from a file with names and numbers.
func readStat(path, name string) (float64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), " "); key == name {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}
