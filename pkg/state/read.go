package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// OpenForReading locks the state against changes. Returns an error wrapping
// os.ErrNotExist if there is no state.
func OpenForReading() (*Reader, error) {
	lock, err := bpffs.Lock(bpffs.Read)
	if err != nil {
		return nil, err
	}
	return &Reader{&Store{root: bpffs.Folder, lock: lock, purpose: bpffs.Read}}, nil
}

// Reader is the state folder, locked against changes.
type Reader struct {
	store *Store
}

// Close gives the lock back.
func (r *Reader) Close() error { return r.store.lock.Close() }

// Verify compares the attachment of a key with what it should be. Returns an
// error wrapping attachment.ErrDiffers that says what is different.
func (r *Reader) Verify(key Key, dev hook.Device, wanted Wanted) error {
	found, err := r.store.find(key)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("%w: nothing is attached", attachment.ErrDiffers)
	}
	for _, a := range found {
		rs := wanted.either(a).Ruleset
		err = errors.Join(err, a.folder.Verify(a.ruleset, dev, rs, wanted.Hook),
			a.folder.VerifyOrder(a.ruleset, rs))
	}
	return err
}

// VerifyAbsent returns an error wrapping attachment.ErrDiffers if the key has an
// attachment.
func (r *Reader) VerifyAbsent(key Key) error {
	found, err := r.store.find(key)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: the configuration has no rules, but programs are attached", attachment.ErrDiffers)
	}
	return err
}
