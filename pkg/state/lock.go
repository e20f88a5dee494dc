package state

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy is returned when the lock on the state was not had in time, or an
// interface is being attached already.
var ErrBusy = errors.New("another xdp-port is at work")

// lockTimeout bounds the wait for the lock.
const lockTimeout = 10 * time.Second

// lockFolder locks a folder, exclusively or shared. It is held until the file
// is closed. Since the last one to leave removes the folder, the lock only
// counts if the folder is still the one at this path.
func lockFolder(path string, how int, openFolder func(string) (*os.File, error)) (*os.File, error) {
	for deadline := time.Now().Add(lockTimeout); ; {
		folder, err := openFolder(path)
		if err != nil {
			return nil, err
		}
		if err := flockBefore(folder, how, deadline); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if isAt(folder, path) {
			return folder, nil
		}
		folder.Close()
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("lock %s: %w and comes and goes", path, ErrBusy)
		}
	}
}

// ErrUntrusted is returned when somebody else made the state folder: nothing in it
// is xdp-port's.
var ErrUntrusted = errors.New("the state folder is somebody else's")

// errOpen is returned when the state folder is xdp-port's, but others can write to it.
var errOpen = errors.New("the state folder is open to other users")

// openOwnFolder opens a folder that nobody else can change: the mount may be
// open to all (mode 1777), and whoever came first could have made it.
func openOwnFolder(path string) (*os.File, error) {
	folder, mode, err := openOwned(path)
	if err != nil || mode&0o022 == 0 {
		return folder, err
	}
	folder.Close()
	return nil, &UnusableError{
		fmt.Sprintf("%s is open to other users (mode %#o)", path, mode), "chmod 0700 " + path, errOpen,
	}
}

// openToRemove also opens a folder that others can write to: what is attached must
// be removable whatever its mode has become, and only root can have pinned it.
func openToRemove(path string) (*os.File, error) {
	folder, _, err := openOwned(path)
	return folder, err
}

// openOwned opens a folder that nobody else made, and returns its permissions.
func openOwned(path string) (*os.File, uint32, error) {
	folder, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, 0, untrusted(path, "is no folder")
	case err != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrBPFFS, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &stat); err != nil {
		folder.Close()
		return nil, 0, fmt.Errorf("%w: look at %s: %w", ErrBPFFS, path, err)
	}
	if int(stat.Uid) != os.Geteuid() {
		folder.Close()
		return nil, 0, untrusted(path, fmt.Sprintf("belongs to user %d with mode %#o", stat.Uid, stat.Mode&0o777))
	}
	return folder, stat.Mode & 0o777, nil
}

func untrusted(path, why string) error {
	return &UnusableError{
		path + " is not to be trusted, it " + why,
		"remove it (rm -r " + path + "), and close the file system to other users (chmod 0700 " + DefaultMount + ")", ErrUntrusted,
	}
}

// isReplaceable tells whether an error is about a state folder that ADD replaces:
// others can write to it, but nothing is in it.
func isReplaceable(err error) bool {
	if !errors.Is(err, errOpen) && !errors.Is(err, ErrUntrusted) {
		return false
	}
	entries, err := os.ReadDir(DefaultRoot)
	info, statErr := os.Lstat(DefaultRoot)
	return err == nil && statErr == nil && info.IsDir() && len(entries) == 0
}

// flockBefore locks the file, or closes it and returns an error. A lock that
// comes too late is given back by closing.
func flockBefore(file *os.File, how int, deadline time.Time) error {
	locked := make(chan error, 1)
	go func() { locked <- flock(file, how) }()
	select {
	case err := <-locked:
		if err != nil {
			file.Close()
			return fmt.Errorf("%w: %w", ErrBPFFS, err)
		}
		return nil
	case <-time.After(time.Until(deadline)):
		err := fmt.Errorf("%w%s and has held the lock for %s", ErrBusy, holders(file), lockTimeout)
		go closeAfter(file, locked)
		return err
	}
}

func closeAfter(file *os.File, locked <-chan error) {
	if err := <-locked; err == nil {
		_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
	}
	_ = file.Close()
}

func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func isAt(folder *os.File, path string) bool {
	locked, err := folder.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(locked, now)
}

// holders names the processes that have a file locked, as far as they can be seen
// from here, in words to put behind those of ErrBusy.
func holders(file *os.File) string {
	pids := holderPIDs(file)
	if len(pids) == 0 {
		return ""
	}
	return fmt.Sprintf(" (process %s)", strings.Join(pids, ", "))
}

// holderPIDs reads /proc/locks (proc_locks(5)), which has 0 for processes of other
// PID namespaces, and an arrow before those who wait.
func holderPIDs(file *os.File) (pids []string) {
	var stat unix.Stat_t
	if unix.Fstat(int(file.Fd()), &stat) != nil {
		return nil
	}
	is := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(stat.Dev)), unix.Minor(uint64(stat.Dev)), stat.Ino)
	text, _ := os.ReadFile("/proc/locks") // without it nobody is named
	for line := range strings.Lines(string(text)) {
		// 1: FLOCK  ADVISORY  WRITE 3512 00:1b:2 0 EOF
		words := strings.Fields(line)
		if len(words) < 6 || words[1] != "FLOCK" || words[5] != is || words[4] == "0" {
			continue
		}
		name, _ := os.ReadFile("/proc/" + words[4] + "/comm")
		pids = append(pids, strings.TrimSpace(words[4]+" "+string(name)))
	}
	return pids
}
