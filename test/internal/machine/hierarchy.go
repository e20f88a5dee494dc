package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupTop = "/sys/fs/cgroup"

// hierarchy is a cgroup file system: one of version 1 with its controllers, or
// the unified one, of version 2.
type hierarchy struct {
	mount, options string
	unified        bool
	// own is the path of this process's cgroup.
	own string
}

// hierarchies reads cgroups(7), /proc/pid/cgroup.
func hierarchies() (found []hierarchy, err error) {
	lines, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(lines)) {
		field := strings.SplitN(strings.TrimSpace(line), ":", 3)
		h := hierarchy{
			mount:   filepath.Join(cgroupTop, strings.TrimPrefix(field[1], "name=")),
			options: field[1], unified: field[1] == "", own: field[2],
		}
		if strings.HasPrefix(field[1], "name=") {
			h.options = "none," + field[1]
		}
		if h.unified && !isUnified(cgroupTop) {
			h.mount = filepath.Join(cgroupTop, "unified")
		}
		if _, err := os.Stat(filepath.Join(h.mount, "cgroup.procs")); err == nil {
			found = append(found, h)
		}
	}
	return found, nil
}

func isUnified(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// parent is the cgroup that a machine's cgroup goes into: this process's own, or the
// top in the unified hierarchy. There, only the top or a cgroup without processes can
// pass on controllers.
func (h hierarchy) parent() string {
	if h.unified {
		return h.mount
	}
	return filepath.Join(h.mount, h.own)
}

// mountCgroups shows the machine its own cgroups as if they were all.
func mountCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if isUnified(cgroupTop) {
		return mountUnified()
	}
	if err := mount("tmpfs", cgroupTop, "mode=755"); err != nil {
		return err
	}
	for _, h := range all {
		if err := os.MkdirAll(h.mount, 0o755); err != nil {
			return err
		}
		kind := "cgroup"
		if h.unified {
			kind = "cgroup2"
		}
		if err := mount(kind, h.mount, h.options); err != nil {
			return err
		}
	}
	return nil
}

// mountUnified first unmounts the host's, because one cgroup file system cannot be
// mounted on another.
func mountUnified() error {
	if err := unix.Unmount(cgroupTop, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", cgroupTop, err)
	}
	if err := mount("cgroup2", cgroupTop, ""); err != nil {
		return err
	}
	return delegate()
}

// delegate lets runtimes use the controllers. For that, the top cgroup must not
// contain a process.
func delegate() error {
	leaf := filepath.Join(cgroupTop, "machine")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	enableControllers(cgroupTop)
	return nil
}

// enableControllers passes all available controllers on to the cgroups below.
// Runtimes work without the missing ones.
func enableControllers(path string) {
	controllers, _ := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	for _, name := range bytes.Fields(controllers) {
		_ = os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), append([]byte("+"), name...), 0)
	}
}
