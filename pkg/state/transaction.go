package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// Transaction is a change of the state, under the exclusive lock.
//
// It releases the lock while the kernel works. If it does not regain the lock, every
// further change fails with bpffs.ErrBusy.
type Transaction struct {
	tree
	lock stateLock
	// folders counts the folders that this process has named.
	folders int
	// failures says what the recovery could not finish.
	failures failures
	// ahead is the result of Ahead.
	ahead []hook.ForeignTC
}

// Close releases the lock, and removes the state folder if it is empty. A folder that
// cannot be removed stays for the next transaction.
func (t *Transaction) Close() error {
	if !t.lock.isHeld() {
		return nil
	}
	bpffs.RemoveEmpty(t.temporaryFolder(), t.root)
	bpffs.RemoveEmpty(t.rulesetsFolder(), filepath.Dir(t.root))
	return t.lock.release()
}

// stateLock is the exclusive lock on the state folder.
type stateLock struct {
	file    *os.File // nil while the lock is released
	purpose bpffs.Purpose
}

// lockState takes the lock. The first lock of a change makes the state folder.
func lockState(purpose bpffs.Purpose) (l stateLock, err error) {
	l.purpose = purpose
	if purpose == bpffs.Change {
		l.file, err = bpffs.Create()
	} else {
		l.file, err = bpffs.Lock(purpose)
	}
	return l, err
}

func (l *stateLock) isHeld() bool { return l.file != nil }

// require returns an error wrapping bpffs.ErrBusy if the transaction did not regain the
// lock.
func (l *stateLock) require() error {
	if !l.isHeld() {
		return fmt.Errorf("%w: the lock was not regained", bpffs.ErrBusy)
	}
	return nil
}

func (l *stateLock) release() error {
	file := l.file
	l.file = nil
	return file.Close()
}

// regain takes the lock again. It tries twice, because without the lock a failed ADD
// cannot remove the ruleset that it has loaded.
func (l *stateLock) regain() (err error) {
	for range 2 {
		l.file, err = bpffs.Lock(l.purpose)
		if err == nil || errors.Is(err, bpffs.ErrBusy) {
			return err
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: another process removed the state folder: %w", bpffs.ErrUnusable, err)
	}
	return err
}

// lockPolicy says what happens to the lock while the kernel works.
type lockPolicy int

const (
	// releaseLock lets other processes change the state.
	releaseLock lockPolicy = iota
	// keepLock makes them wait, because a container has no rules meanwhile.
	keepLock
)

// whileKernelWorks calls work, which takes the kernel long. With releaseLock work may
// use only pending folders of this transaction.
//
// Errors wrap bpffs.ErrBusy if the lock cannot be regained. Then the transaction may
// change only its pending folders.
func (t *Transaction) whileKernelWorks(policy lockPolicy, work func() error) error {
	if policy == keepLock {
		return work()
	}
	released := t.lock.release()
	return errors.Join(released, work(), t.lock.regain())
}

// makeFolder makes a folder with a new name in parent. The name begins with prefix.
func (t *Transaction) makeFolder(parent, prefix string) (string, error) {
	path, err := t.freeName(parent, prefix)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", fmt.Errorf("%w: make a folder: %w", bpffs.ErrUnusable, err)
	}
	return path, nil
}

// freeName returns a path in parent that does not exist, and makes parent. Under the
// lock it stays free. Processes of different PID namespaces can have the same number,
// so the number alone is not unique.
func (t *Transaction) freeName(parent, prefix string) (string, error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", fmt.Errorf("%w: make a folder: %w", bpffs.ErrUnusable, err)
	}
	for {
		t.folders++
		path := filepath.Join(parent, fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), t.folders))
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", fmt.Errorf("%w: %w", bpffs.ErrUnusable, err)
		}
	}
}

// prune removes the ruleset if it has no attachments. Without the lock that is
// uncertain, as it is if the ruleset cannot be read; a later sweep decides.
func (t *Transaction) prune(r ruleset) {
	if !t.lock.isHeld() {
		return
	}
	if used, err := r.isUsed(); used || err != nil {
		return
	}
	_ = t.retire(r)
}

// retire renames a ruleset into the temporary folder, and then removes it.
func (t *Transaction) retire(r ruleset) error {
	if _, err := os.Stat(r.path()); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	aside, err := t.freeName(t.temporaryFolder(), "")
	if err != nil {
		return err
	}
	if err := os.Rename(r.path(), aside); err != nil {
		return fmt.Errorf("%w: remove %s: %w", bpffs.ErrUnusable, r.path(), err)
	}
	return discard(aside)
}

// failures says why the recovery of unfinished changes failed.
type failures struct {
	// replacements are failed replacements by the new ruleset.
	replacements map[ruleset]error
	// reattachments are former states that could not be attached again.
	reattachments map[Key]error
}

func (f *failures) addReplacement(r ruleset, err error) {
	if f.replacements == nil {
		f.replacements = map[ruleset]error{}
	}
	f.replacements[r] = err
}

func (f *failures) addReattachment(key Key, err error) {
	if f.reattachments == nil {
		f.reattachments = map[Key]error{}
	}
	f.reattachments[key] = err
}

// errInterrupted is the error of a container without rules.
var errInterrupted = errors.New("no rules are attached: a change of mode, tc hook or device was interrupted, " +
	"and the former state could not be attached again")

// interruption says why a key has no rules, as far as that is known.
func (f *failures) interruption(key Key) error {
	if cause := f.reattachments[key]; cause != nil {
		return fmt.Errorf("%w: %w", errInterrupted, cause)
	}
	return errInterrupted
}
