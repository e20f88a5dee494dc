package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// Store is the state folder, locked.
type Store struct {
	root string
	// lock is nil when it was given away and could not be had back.
	lock *os.File
	// purpose is the purpose of the lock, to have it back.
	purpose bpffs.Purpose
	// insist keeps the lock while a container is without its rules.
	insist bool
	// made counts the temporary folders of this process.
	made int
	// unsettled says, by ruleset, why an exchange of rules that was not finished
	// could not be brought to its end.
	unsettled map[datapath.Dir]error
	// unrestored says, by key, why what was kept of it could not be put back.
	unrestored map[Key]error
	// ahead is what Ahead returns.
	ahead []hook.ForeignTC
}

// OpenForChange locks the state for a change, and makes its folder, and the
// mount that it is in, if they are missing. Whatever a dead process left
// half-done is removed. The caller must Close the Store.
//
// Returns an error wrapping bpffs.ErrUnusable if there is no BPF file system, bpffs.ErrBusy
// if the lock was not had in 10 seconds.
func OpenForChange() (*Store, error) {
	lock, err := bpffs.Create()
	if err != nil {
		return nil, err
	}
	s := &Store{root: bpffs.Folder, lock: lock, purpose: bpffs.Change}
	s.sweep()
	return s, nil
}

// OpenExisting locks the state for a change that only removes, and so makes
// nothing. Returns an error wrapping os.ErrNotExist if there is no state.
func OpenExisting() (*Store, error) {
	lock, err := bpffs.Lock(bpffs.Remove)
	if err != nil {
		return nil, err
	}
	s := &Store{root: bpffs.Folder, lock: lock, purpose: bpffs.Remove}
	s.sweep()
	return s, nil
}

// Close gives the lock back, and removes the state folder if nothing is left.
// Whether that can be removed or not, what was done stays done: the next one to
// leave tries again.
func (s *Store) Close() error {
	if s.lock == nil {
		return nil
	}
	removeEmpty(s.tmp(), s.root)
	removeEmpty(s.rulesets(), filepath.Dir(s.root))
	return s.lock.Close()
}

// unlocked gives the lock away while work is done that the kernel takes long
// over, and that others need not wait for. What it works on must be claimed.
//
// Returns an error wrapping bpffs.ErrBusy if the lock could not be had back: then
// nothing may be changed any more but what is claimed.
func (s *Store) unlocked(work func() error) error {
	if s.insist {
		return work()
	}
	err := s.lock.Close()
	s.lock = nil
	return errors.Join(err, work(), s.relock())
}

// relock gets the lock back. It tries twice, since without the lock an ADD that
// fails cannot remove what it has loaded.
func (s *Store) relock() (err error) {
	for range 2 {
		s.lock, err = bpffs.Lock(s.purpose)
		if err == nil || errors.Is(err, bpffs.ErrBusy) {
			return err
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: somebody removed the state meanwhile: %w", bpffs.ErrUnusable, err)
	}
	return err
}

func (s *Store) tmp() string      { return filepath.Join(s.root, "tmp") }
func (s *Store) rulesets() string { return filepath.Join(s.root, "rulesets") }
func (s *Store) ruleset(hash string) datapath.Dir {
	return datapath.Dir(filepath.Join(s.rulesets(), hash))
}

// attachments is the folder of those who use a ruleset.
func attachments(ruleset datapath.Dir) string { return filepath.Join(string(ruleset), "attachments") }

// temporary makes a folder to build a ruleset in.
func (s *Store) temporary() (string, error) { return s.makeFolder(s.tmp(), "") }

// makeFolder makes a folder of a new name in top, which begins with prefix.
func (s *Store) makeFolder(top, prefix string) (string, error) {
	path, err := s.freeName(top, prefix)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("%w: make a folder: %w", bpffs.ErrUnusable, err)
	}
	return path, nil
}

// freeName returns a path in top where nothing is, and makes top. The state
// must be locked, so that it stays free. Two processes of the same number can
// come from different PID namespaces.
func (s *Store) freeName(top, prefix string) (string, error) {
	if err := os.MkdirAll(top, 0o700); err != nil {
		return "", fmt.Errorf("%w: make a folder: %w", bpffs.ErrUnusable, err)
	}
	for {
		s.made++
		path := filepath.Join(top, fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), s.made))
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", fmt.Errorf("%w: %w", bpffs.ErrUnusable, err)
		}
	}
}

// publish renames what was built to where it belongs.
func publish[A, B ~string](built A, path B) error {
	if err := os.MkdirAll(filepath.Dir(string(path)), 0o700); err != nil {
		return fmt.Errorf("%w: make a folder: %w", bpffs.ErrUnusable, err)
	}
	if err := os.Rename(string(built), string(path)); err != nil {
		return fmt.Errorf("%w: publish: %w", bpffs.ErrUnusable, err)
	}
	return nil
}

// removeEmpty removes the folder and its parents as far as they are empty and
// can be removed, up to but not including top.
func removeEmpty[T ~string](folder string, top T) {
	for folder != string(top) {
		if err := unix.Rmdir(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
			return
		}
		folder = filepath.Dir(folder)
	}
}
