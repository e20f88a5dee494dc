package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupPrefix marks the cgroups of machines; the number of the process that
// made them comes next.
const cgroupPrefix = "xdp-port-machine-"

const cgroupTop = "/sys/fs/cgroup"

// hierarchy is a cgroup file system: one of version 1 with its controllers, or
// the unified one, of version 2.
type hierarchy struct {
	mount, options string
	unified        bool
	// own is the path of this process's cgroup.
	own string
}

// cgroups are a machine's, one a hierarchy, by path.
type cgroups struct {
	byThread []string // version 1
	unified  string   // version 2, or empty
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

// newCgroups makes a cgroup of that name below this process's in each
// hierarchy.
func newCgroups(name string) (c cgroups, err error) {
	all, err := hierarchies()
	if err != nil {
		return c, err
	}
	for _, h := range all {
		parent := filepath.Join(h.mount, h.own)
		path := filepath.Join(parent, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return c, err
		}
		if h.unified {
			c.unified = path
			continue
		}
		c.byThread = append(c.byThread, path)
		if err := inheritCPUs(parent, path); err != nil {
			return c, err
		}
	}
	return c, nil
}

// inheritCPUs fills in what a cgroup of the cpuset controller must have before
// it takes a process.
func inheritCPUs(parent, path string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(path, name), value, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add puts a process into the cgroups.
func (c cgroups) add(pid int) error {
	var errs []error
	for _, path := range append(c.byThread, c.unified) {
		if path != "" {
			errs = append(errs, os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0))
		}
	}
	return errors.Join(errs...)
}

// addThread puts this thread into the cgroups of version 1. In the unified
// hierarchy only whole processes can move.
func (c cgroups) addThread() error {
	var errs []error
	for _, path := range c.byThread {
		errs = append(errs, os.WriteFile(filepath.Join(path, "tasks"), []byte(strconv.Itoa(unix.Gettid())), 0))
	}
	return errors.Join(errs...)
}

// remove removes the cgroups of a machine whose processes are gone.
func (c cgroups) remove() error {
	var errs []error
	for _, path := range append(c.byThread, c.unified) {
		if path != "" {
			errs = append(errs, removeCgroup(path))
		}
	}
	return errors.Join(errs...)
}

// removeCgroup removes a cgroup and those below it. A process that ended just
// now may still keep it busy.
func removeCgroup(path string) error {
	var folders []string
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(folders) - 1; i >= 0; i-- {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			err := unix.Rmdir(folders[i])
			if err == nil || errors.Is(err, unix.ENOENT) {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("remove the cgroup %s: %w", folders[i], err)
			}
		}
	}
	return nil
}

// Sweep removes the cgroups of processes that were killed.
func Sweep() error {
	all, err := hierarchies()
	errs := []error{err}
	for _, h := range all {
		left, _ := filepath.Glob(filepath.Join(h.mount, h.own, cgroupPrefix+"*")) // the pattern is good
		for _, path := range left {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), cgroupPrefix), "-")
			number, err := strconv.Atoi(pid)
			if err == nil && unix.Kill(number, 0) != nil {
				errs = append(errs, removeCgroup(path))
			}
		}
	}
	return errors.Join(errs...)
}

// mountCgroups shows the machine its own cgroups as if they were all.
func mountCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if isUnified(cgroupTop) {
		return errors.Join(mount("cgroup2", cgroupTop, ""), delegate())
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

// delegate lets runtimes use the controllers: for that the top cgroup must hold
// no process itself.
func delegate() error {
	leaf := filepath.Join(cgroupTop, "machine")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	controllers, err := os.ReadFile(filepath.Join(cgroupTop, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, name := range bytes.Fields(controllers) {
		// One that cannot be had is for the runtime to do without.
		_ = os.WriteFile(filepath.Join(cgroupTop, "cgroup.subtree_control"), append([]byte("+"), name...), 0)
	}
	return nil
}
