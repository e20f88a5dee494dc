package state

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Ready tells whether there is, or could be, a BPF file system for the state.
// It changes nothing. Returns an error wrapping ErrBPFFS if not, an *UnusableError
// where it is known what to do.
func Ready() error {
	if err := checkVisible(); err != nil {
		return err
	}
	if !isBPFFS(DefaultMount) {
		return couldMount(DefaultMount)
	}
	if err := unix.Access(DefaultMount, unix.W_OK); err != nil {
		return &UnusableError{
			fmt.Sprintf("%s cannot be written: %v", DefaultMount, err), "mount -o remount,rw " + DefaultMount, err,
		}
	}
	folder, err := openOwnFolder(DefaultRoot)
	if errors.Is(err, os.ErrNotExist) || isReplaceable(err) {
		return nil // ADD makes it
	}
	if err != nil {
		return err
	}
	return folder.Close()
}

// Lockable tells whether the lock on the state can be had as long as ADD would wait
// for it. Returns an error wrapping ErrBusy if not.
func Lockable() error {
	reader, err := OpenForReading()
	if errors.Is(err, os.ErrNotExist) || isReplaceable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return reader.Close()
}

// couldMount goes all the way to a BPF file system but for putting it in its
// place.
func couldMount(path string) error {
	place, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBPFFS, err)
	}
	if !place.IsDir() {
		return fmt.Errorf("%w: %s is not a folder to mount one at", ErrBPFFS, path)
	}
	if err := mountNowhere(); err != nil {
		return fmt.Errorf("%w at %s, and none can be mounted: %w", ErrBPFFS, path, err)
	}
	return nil
}

// mountNowhere makes a BPF file system that goes away at once.
func mountNowhere() error {
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

// MountCommand mounts a BPF file system in its place. Without a mode it would be
// open to all.
const MountCommand = "mount -t bpf -o mode=0700 bpf " + DefaultMount

// Open tells whether any user can write to the BPF file system, and make the state
// folder before xdp-port does.
func Open() bool {
	var stat unix.Stat_t
	return Mounted() && unix.Stat(DefaultMount, &stat) == nil && stat.Mode&0o022 != 0
}

// Mounted tells whether the BPF file system is in its place already.
func Mounted() bool { return isBPFFS(DefaultMount) }
