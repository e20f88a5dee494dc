package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupPrefix begins the names of machines' cgroups. The number of the process that
// made them follows.
const cgroupPrefix = "xdp-port-machine-"

// cgroups are the paths of a machine's cgroups, one in each hierarchy.
type cgroups struct {
	byThread []string // version 1
	unified  string   // version 2, or empty
}

// newCgroups makes a cgroup of that name in each hierarchy.
func newCgroups(name string) (c cgroups, err error) {
	all, err := hierarchies()
	if err != nil {
		return c, err
	}
	for _, h := range all {
		path := filepath.Join(h.parent(), name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return c, err
		}
		if h.unified {
			c.unified = path
			enableControllers(h.parent())
			continue
		}
		c.byThread = append(c.byThread, path)
		if err := inheritCPUs(h.parent(), path); err != nil {
			return c, err
		}
	}
	return c, nil
}

// inheritCPUs fills in what a cgroup of the cpuset controller needs before it
// accepts a process.
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

// remove removes the cgroups of a machine. Its processes must have ended.
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
	errs := []error{err}
	for _, folder := range slices.Backward(folders) {
		errs = append(errs, removeIdle(folder))
	}
	return errors.Join(errs...)
}

func removeIdle(folder string) error {
	for deadline := time.Now().Add(Patience); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Rmdir(folder)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove the cgroup %s: %w", folder, err)
		}
	}
}

// Sweep removes the cgroups of processes that were killed.
func Sweep() error {
	all, err := hierarchies()
	errs := []error{err}
	for _, h := range all {
		left, _ := filepath.Glob(filepath.Join(h.parent(), cgroupPrefix+"*")) // the pattern is good
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
