// Package bpffs finds, mounts, locks and walks the BPF file system that holds the state of
// xdp-port.
//
// Create and Lock return the lock on the state folder. Ready says whether Create can
// succeed, and Visible whether the state can be read at all. Other mounts can hide
// the state: ip netns exec does, and so does a file system mounted above /sys.
package bpffs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// MountPoint is the place of the BPF file system.
	MountPoint = "/sys/fs/bpf"
	// Folder is the state folder.
	Folder = MountPoint + "/xdp-port"
	// MountCommand mounts a BPF file system at MountPoint. The default mode is open to
	// all users.
	MountCommand = "mount -t bpf -o mode=0700 bpf " + MountPoint
)

// IsMounted reports whether a BPF file system is mounted at MountPoint.
func IsMounted() bool { return isBPFFS(MountPoint) }

// IsOpen reports whether other users can write to the BPF file system. They could
// make the state folder before xdp-port does.
func IsOpen() bool {
	var stat unix.Stat_t
	return IsMounted() && unix.Stat(MountPoint, &stat) == nil && stat.Mode&0o022 != 0
}

// Visible returns an error wrapping ErrUnusable if this mount namespace shows no BPF
// file system at MountPoint, or one that hides the state. Then the attachments
// cannot be read.
func Visible() error {
	if err := checkHidden(); err != nil || IsMounted() {
		return err
	}
	const hint = "ip netns exec hides it: use nsenter --net=/run/netns/NAME instead"
	fix := fmt.Sprintf("%s; or mount one: %s", hint, MountCommand)
	if isBPFFS("/proc/1/root" + MountPoint) {
		fix = "this mount namespace hides the host's; " + hint
	}
	return fmt.Errorf("%w at %s, so the attachments cannot be read: %s", ErrUnusable, MountPoint, fix)
}

// ensureMounted mounts a BPF file system at MountPoint unless one is mounted there.
func ensureMounted() error {
	if IsMounted() {
		return nil
	}
	// Without a lock two processes could mount one above the other.
	below, err := os.Open(MountPoint)
	if err != nil {
		if hidden := checkHidden(); hidden != nil {
			return hidden
		}
		return fmt.Errorf("%w at %s: %w", ErrUnusable, MountPoint, err)
	}
	defer below.Close()
	if err := flock(below, unix.LOCK_EX); err != nil {
		return fmt.Errorf("%w at %s: lock: %w", ErrUnusable, MountPoint, err)
	}
	if IsMounted() {
		return nil
	}
	if err := checkHidden(); err != nil {
		return err
	}
	if err := unix.Mount("bpf", MountPoint, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("%w at %s: mount failed (%s): %w", ErrUnusable, MountPoint, MountCommand, err)
	}
	return nil
}

func isBPFFS(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.BPF_FS_MAGIC
}
