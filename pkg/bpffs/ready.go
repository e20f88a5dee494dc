package bpffs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Ready returns an error wrapping ErrUnusable if Create cannot succeed, an
// *UnusableError if the fix is known. It changes nothing.
func Ready() error {
	if err := checkHidden(); err != nil {
		return err
	}
	if !IsMounted() {
		return checkMountable()
	}
	if err := unix.Access(MountPoint, unix.W_OK); err != nil {
		return &UnusableError{
			fmt.Sprintf("%s cannot be written: %v", MountPoint, err), "mount -o remount,rw " + MountPoint, err,
		}
	}
	folder, err := openOwn()
	if errors.Is(err, os.ErrNotExist) || isReplaceable(err) {
		return nil // Create makes it
	}
	if err != nil {
		return err
	}
	return folder.Close()
}

// Lockable returns an error wrapping ErrBusy if a change would wait for the lock
// longer than LockTimeout.
func Lockable() error {
	lock, err := Lock(Read)
	if errors.Is(err, os.ErrNotExist) || isReplaceable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return lock.Close()
}

// isReplaceable reports whether an error is about a state folder that Create
// replaces: other users can write to it, but it is empty.
func isReplaceable(err error) bool {
	if !errors.Is(err, errOpen) && !errors.Is(err, ErrUntrusted) {
		return false
	}
	entries, err := os.ReadDir(Folder)
	info, statErr := os.Lstat(Folder)
	return err == nil && statErr == nil && info.IsDir() && len(entries) == 0
}

// checkMountable makes a BPF file system without mounting it at MountPoint.
func checkMountable() error {
	place, err := os.Stat(MountPoint)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if !place.IsDir() {
		return fmt.Errorf("%w: %s is not a folder, so nothing can be mounted there", ErrUnusable, MountPoint)
	}
	if err := mountDetached(); err != nil {
		return fmt.Errorf("%w at %s: mounting one fails: %w", ErrUnusable, MountPoint, err)
	}
	return nil
}

// mountDetached makes a BPF file system that is mounted nowhere, and closes it.
func mountDetached() error {
	fs, err := unix.Fsopen("bpf", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return err
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(mount)
}
