package state

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// OpenForReading locks the state against changes. Returns an error wrapping
// os.ErrNotExist if there is no state.
func OpenForReading() (*Reader, error) {
	store, err := open(unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	return &Reader{store}, nil
}

// Reader is the state folder, locked against changes.
type Reader struct {
	store *Store
}

// Close gives the lock back.
func (r *Reader) Close() error { return r.store.lock.Close() }

// Verify compares the attachment of a key with what it should be. Returns an
// error wrapping datapath.ErrDiffers that says what is different.
func (r *Reader) Verify(key Key, dev datapath.Device, wanted Wanted) error {
	found, err := r.store.find(key)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("%w: nothing is attached", datapath.ErrDiffers)
	}
	wanted = wanted.either(r.store, found[0])
	ruleset := r.store.folder(wanted)
	for _, attachment := range found {
		if attachment.ruleset != ruleset {
			return attachment.explain(wanted)
		}
	}
	return datapath.Verify(found[0].folder, ruleset, dev, wanted.Ruleset, wanted.Hook)
}

// explain says why an attachment is of another ruleset than wanted: the mode
// is the only part of it that is on record.
func (a attachment) explain(wanted Wanted) error {
	record, err := datapath.ReadRecord(a.folder)
	if err == nil && record.Mode != wanted.Ruleset.Mode {
		return fmt.Errorf("%w: the mode is %s, the configuration wants %s",
			datapath.ErrDiffers, record.Mode, wanted.Ruleset.Mode)
	}
	return fmt.Errorf("%w: the rules, or the build of the programs, are not those of the configuration: "+
		"ADD again replaces them", datapath.ErrDiffers)
}

// VerifyAbsent returns an error wrapping datapath.ErrDiffers if the key has an
// attachment.
func (r *Reader) VerifyAbsent(key Key) error {
	found, err := r.store.find(key)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: the configuration has no rules, but programs are attached", datapath.ErrDiffers)
	}
	return err
}
