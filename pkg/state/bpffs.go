package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrBPFFS is returned when there is no BPF file system to keep the state in, or
// it refuses something. The message says what.
var ErrBPFFS = errors.New("no usable BPF file system")

// ensureBPFFS mounts a BPF file system at the path unless there is one.
func ensureBPFFS(path string) error {
	if isBPFFS(path) {
		return nil
	}
	// Two processes that find nothing must not mount one above the other's.
	below, err := os.Open(path)
	if err != nil {
		if hidden := checkVisible(); hidden != nil {
			return hidden
		}
		return fmt.Errorf("%w at %s: %w", ErrBPFFS, path, err)
	}
	defer below.Close()
	if err := flock(below, unix.LOCK_EX); err != nil {
		return fmt.Errorf("%w at %s: lock: %w", ErrBPFFS, path, err)
	}
	if isBPFFS(path) {
		return nil
	}
	if err := checkVisible(); err != nil {
		return err
	}
	if err := unix.Mount("bpf", path, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("%w at %s, and mounting one failed (%s): %w", ErrBPFFS, path, MountCommand, err)
	}
	return nil
}

// Visible returns an error wrapping ErrBPFFS if there is no BPF file system at
// DefaultMount in this mount namespace, or it hides one with the state. Then
// nobody knows what is attached.
func Visible() error {
	if err := checkVisible(); err != nil || isBPFFS(DefaultMount) {
		return err
	}
	const hidden = "ip netns exec hides it: use nsenter --net=/run/netns/NAME instead"
	fix := fmt.Sprintf("%s; or mount one: %s", hidden, MountCommand)
	if isBPFFS("/proc/1/root" + DefaultMount) {
		fix = "the host has one, which this mount namespace hides; " + hidden
	}
	return fmt.Errorf("%w is visible at %s, so that what is attached cannot be read: %s", ErrBPFFS, DefaultMount, fix)
}

func isBPFFS(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.BPF_FS_MAGIC
}

// removeEmpty removes the folder and its parents as far as they are empty and
// can be removed, up to but not including top.
func removeEmpty(folder, top string) {
	for folder != top {
		if err := unix.Rmdir(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
			return
		}
		folder = filepath.Dir(folder)
	}
}
