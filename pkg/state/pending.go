package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// ErrCancelled is the error of Attach and Change if the key is detached meanwhile. A
// restarted container runtime may not know that its ADD still runs.
var ErrCancelled = errors.New("cancelled by DEL")

// pending is an attachment that this process makes or removes.
//
// Its folder keeps the ruleset. The folder is locked; without the lock it belongs to a
// dead process.
type pending struct {
	entry
	lock *os.File
}

// makePending makes an empty pending attachment of the key. It needs the state lock.
func (t *Transaction) makePending(r ruleset, key Key) (*pending, error) {
	return t.newPending(r, pendingPrefix(key))
}

// reserve makes a pending attachment that only keeps the ruleset. It needs the state
// lock.
func (t *Transaction) reserve(r ruleset) (*pending, error) { return t.newPending(r, "") }

func (t *Transaction) newPending(r ruleset, prefix string) (*pending, error) {
	folder, err := t.makeFolder(r.pendingFolder(), prefix)
	if err != nil {
		return nil, err
	}
	return lockPending(r.entryAt(folder))
}

// withdraw turns a published attachment into a pending one with one rename. It needs
// the state lock.
func (t *Transaction) withdraw(a entry) (*pending, error) {
	folder, err := t.freeName(a.ruleset.pendingFolder(), "")
	if err != nil {
		return nil, err
	}
	if err := os.Rename(a.path(), folder); err != nil {
		return nil, fmt.Errorf("%w: withdraw %s: %w", pin.ErrPin, a.path(), err)
	}
	a.removeEmptyParents()
	return lockPending(a.ruleset.entryAt(folder))
}

func lockPending(a entry) (*pending, error) {
	lock, err := bpffs.TryLock(a.path())
	if err != nil {
		return nil, errors.Join(err, discard(a.path()))
	}
	return &pending{a, lock}, nil
}

// isAbandoned reports whether the process of a pending attachment is dead.
func (a entry) isAbandoned() bool {
	lock, err := bpffs.TryLock(a.path())
	if err != nil {
		return !errors.Is(err, unix.EWOULDBLOCK)
	}
	lock.Close()
	return true
}

// discard removes the pending attachment.
func (p *pending) discard() error {
	err := discard(p.path())
	return errors.Join(err, p.lock.Close())
}

// abandon leaves the pending attachment to the recovery of the next transaction.
func (p *pending) abandon() error { return p.lock.Close() }

// publish moves the attachment to its place, unless it is cancelled. It needs the state
// lock.
func (p *pending) publish(place entry) error {
	if err := p.checkCancelled(); err != nil {
		return err
	}
	if err := publish(p.path(), place.path()); err != nil {
		return err
	}
	return p.lock.Close()
}

// becomeReservation makes the pending attachment of a key one that only keeps the
// ruleset.
func (p *pending) becomeReservation(t *Transaction) error {
	folder, err := t.freeName(p.ruleset.pendingFolder(), "")
	if err != nil {
		return err
	}
	if err := os.Rename(p.path(), folder); err != nil {
		return fmt.Errorf("%w: keep the ruleset: %w", bpffs.ErrUnusable, err)
	}
	p.Folder = attachment.Folder(folder)
	return nil
}

// checkCancelled returns ErrCancelled if the key has been detached. It needs the state
// lock.
func (p *pending) checkCancelled() error {
	switch _, err := os.Stat(p.cancellation()); {
	case err == nil:
		return ErrCancelled
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: publish: %w", bpffs.ErrUnusable, err)
	}
	return nil
}

// cancelPending makes the processes give up that attach the key now. It needs the state
// lock.
func (t *Transaction) cancelPending(key Key) error {
	list, err := t.pendingOf(key)
	for _, a := range list {
		err = errors.Join(err, a.cancel())
	}
	if err != nil {
		return fmt.Errorf("%w: cancel an ADD: %w", bpffs.ErrUnusable, err)
	}
	return nil
}

// cancel has nothing to do if another DEL has come first, or if the ADD has given up
// without the state lock, which it could not regain.
func (a entry) cancel() error {
	err := os.Mkdir(a.cancellation(), 0o700)
	if errors.Is(err, os.ErrExist) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// cancellation is a folder that marks a pending attachment as cancelled.
func (a entry) cancellation() string { return filepath.Join(a.path(), "revoked") }

// refuseConcurrent returns an error wrapping bpffs.ErrBusy if another process attaches
// the key. No runtime runs two ADDs of a key at a time.
func (t *Transaction) refuseConcurrent(key Key) error {
	list, err := t.pendingOf(key)
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("%w: another process is attaching the same interface", bpffs.ErrBusy)
	}
	return err
}

// pendingOf returns the pending attachments that are being made for a key.
func (t tree) pendingOf(key Key) (list []entry, err error) {
	all, err := t.pending()
	for _, a := range all {
		if strings.HasPrefix(filepath.Base(a.path()), pendingPrefix(key)) {
			list = append(list, a)
		}
	}
	return list, err
}

// pendingPrefix identifies the key of a pending attachment by the name of its folder.
func pendingPrefix(key Key) string {
	sum := sha256.Sum256([]byte(key.encode()))
	return hex.EncodeToString(sum[:8]) + "-"
}

// interruption is a container without rules: a process removed its attachment to
// re-create it, and died in between. The folder is the pending attachment that saves
// the former state.
type interruption struct {
	entry
	key    Key
	record *attachment.Record
}

// interruptions returns the containers without rules. A key with an attachment is not
// one of them.
func (t tree) interruptions() ([]interruption, error) {
	all, err := t.pending()
	if err != nil {
		return nil, err
	}
	var list []interruption
	for _, a := range all {
		record, err := a.Kept()
		if errors.Is(err, pin.ErrNewer) { // for that version to restore
			continue
		}
		if err != nil && attachment.IsNoRecord(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		key, err := decodeKey(record.Owner)
		if err != nil {
			continue
		}
		attached, err := t.find(key)
		if err != nil {
			return nil, err
		}
		if len(attached) == 0 {
			list = append(list, interruption{a, key, record})
		}
	}
	return list, nil
}
