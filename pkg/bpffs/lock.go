package bpffs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LockTimeout bounds the wait for a lock.
const LockTimeout = 10 * time.Second

// Purpose is the reason for locking the state folder.
type Purpose int

// The purposes.
const (
	// Read takes the lock shared, so that nobody changes the state.
	Read Purpose = iota
	// Change takes the lock exclusively.
	Change
	// Remove takes the lock exclusively, also on a folder that other users can write
	// to.
	Remove
)

// Lock locks the state folder until the caller closes the file.
//
// Errors wrap os.ErrNotExist if there is no state, ErrBusy if the lock is not free
// within LockTimeout, and ErrUnusable.
func Lock(purpose Purpose) (*os.File, error) {
	how, open := unix.LOCK_EX, openOwn
	switch purpose {
	case Read:
		how = unix.LOCK_SH
	case Remove:
		open = openToRemove
	}
	for deadline := time.Now().Add(LockTimeout); ; {
		folder, err := open()
		if err != nil {
			return nil, err
		}
		if err := flockBefore(folder, how, deadline); err != nil {
			return nil, fmt.Errorf("lock %s: %w", Folder, err)
		}
		// A process removes the folder with its last entry, and then the lock is on a
		// removed folder.
		if isAt(folder, Folder) {
			return folder, nil
		}
		folder.Close()
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("lock %s: %w: other processes keep creating and removing it", Folder, ErrBusy)
		}
	}
}

// TryLock locks a folder exclusively. Errors wrap unix.EWOULDBLOCK if another process
// has it locked.
func TryLock(folder string) (*os.File, error) {
	lock, err := openFolder(folder)
	if err != nil {
		return nil, fmt.Errorf("%w: open %s: %w", ErrUnusable, folder, err)
	}
	if err := flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: lock %s: %w", ErrUnusable, folder, err)
	}
	return lock, nil
}

// WaitUnlocked waits until nobody has a folder locked, or until the deadline. A
// missing folder is unlocked.
func WaitUnlocked(folder string, deadline time.Time) error {
	file, err := openFolder(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: open %s: %w", ErrUnusable, folder, err)
	}
	if err := flockBefore(file, unix.LOCK_SH, deadline); err != nil {
		return err
	}
	return file.Close()
}

// openFolder opens a folder with one system call. os.Open takes five more, and there
// can be hundreds of folders to lock.
func openFolder(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// flockBefore locks the file, or closes it and returns an error. It closes the file
// in the background after the deadline, which gives a late lock back.
func flockBefore(file *os.File, how int, deadline time.Time) error {
	locked := make(chan error, 1)
	go func() { locked <- flock(file, how) }()
	select {
	case err := <-locked:
		if err != nil {
			file.Close()
			return fmt.Errorf("%w: %w", ErrUnusable, err)
		}
		return nil
	case <-time.After(time.Until(deadline)):
		err := fmt.Errorf("%w: timed out after %s waiting for the lock%s", ErrBusy, LockTimeout, holders(file))
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

// holders names the visible processes that hold the lock on a file.
func holders(file *os.File) string {
	processes := holdersOf(file)
	if len(processes) == 0 {
		return ""
	}
	return fmt.Sprintf(", held by process %s", strings.Join(processes, ", "))
}

// holdersOf reads /proc/locks (proc_locks(5)). The file has number 0 for processes of
// other PID namespaces, and an arrow before processes that wait.
func holdersOf(file *os.File) (processes []string) {
	var stat unix.Stat_t
	if unix.Fstat(int(file.Fd()), &stat) != nil {
		return nil
	}
	is := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(stat.Dev)), unix.Minor(uint64(stat.Dev)), stat.Ino)
	text, _ := os.ReadFile("/proc/locks") // without it the message names nobody
	for line := range strings.Lines(string(text)) {
		// 1: FLOCK  ADVISORY  WRITE 3512 00:1b:2 0 EOF
		words := strings.Fields(line)
		if len(words) < 6 || words[1] != "FLOCK" || words[5] != is || words[4] == "0" {
			continue
		}
		name, _ := os.ReadFile("/proc/" + words[4] + "/comm")
		processes = append(processes, strings.TrimSpace(words[4]+" "+string(name)))
	}
	return processes
}
