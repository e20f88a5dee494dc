package bpffs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Create locks the state folder exclusively, and makes the folder and the mount if
// they are missing. The caller must close the lock.
//
// Errors wrap ErrUnusable, or ErrBusy if the lock is not free within LockTimeout.
func Create() (*os.File, error) {
	if err := ensureMounted(); err != nil {
		return nil, err
	}
	for replaced := false; ; {
		if err := makeFolder(); err != nil {
			return nil, err
		}
		lock, err := Lock(Change)
		if errors.Is(err, os.ErrNotExist) {
			continue // another process has just removed the empty folder
		}
		if err == nil {
			return lock, nil
		}
		isGone := unix.Rmdir(Folder) == nil // fails if the folder is in use
		if isGone && !replaced && (errors.Is(err, errOpen) || errors.Is(err, ErrUntrusted)) {
			replaced = true // once: the other user can be first again
			continue
		}
		return nil, err
	}
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

// makeFolder makes the state folder if it is missing, and returns an error if the
// state is hidden. A folder that exists is not hidden.
func makeFolder() error {
	if _, err := os.Lstat(Folder); err == nil {
		return nil
	}
	if err := checkHidden(); err != nil {
		return err
	}
	if err := os.Mkdir(Folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return nil
}
