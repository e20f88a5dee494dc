package state

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// Reader is the state, locked against changes.
type Reader struct {
	tree
	lock *os.File
}

// OpenForReading locks the state against changes. Errors wrap os.ErrNotExist if there is
// no state.
func OpenForReading() (*Reader, error) {
	lock, err := bpffs.Lock(bpffs.Read)
	if err != nil {
		return nil, err
	}
	return &Reader{tree{bpffs.Folder}, lock}, nil
}

// Close releases the lock.
func (r *Reader) Close() error { return r.lock.Close() }

// Listed is an attachment and its place.
type Listed struct {
	Key Key
	// Ruleset is the name of its ruleset, see datapath.Ruleset.Hash.
	Ruleset string
	// Folder holds the attachment's links and record. RulesetFolder holds the programs
	// and maps.
	Folder        attachment.Folder
	RulesetFolder datapath.Dir
	// Interrupted reports that nothing is attached: a change of mode, tc hook or device
	// was killed, and the next transaction will attach the former state again. Folder
	// holds that state, see attachment.Folder.Kept.
	Interrupted bool
}

// List returns all attachments, sorted by network, container and interface. It includes
// the interrupted ones.
func (r *Reader) List() ([]Listed, error) {
	found, err := r.glance()
	return found.list(), err
}

// Snapshot returns the same as Reader.List at an instant without changes.
//
// It holds the lock only while it lists folders, and not while it reads records. So a
// listed attachment may be gone, or moved to another ruleset, when the caller looks at
// it. Errors wrap os.ErrNotExist if there is no state.
func Snapshot() ([]Listed, error) {
	reader, err := OpenForReading()
	if err != nil {
		return nil, err
	}
	found, err := reader.glance()
	if err := errors.Join(err, reader.Close()); err != nil {
		return nil, err
	}
	return found.list(), nil
}

// glance is what the folders show at some instant.
type glance struct {
	attachments   []entry
	interruptions []interruption
}

func (t tree) glance() (found glance, err error) {
	if found.attachments, err = t.attachments(); err != nil {
		return found, err
	}
	found.interruptions, err = t.interruptions()
	return found, err
}

func (g glance) list() []Listed {
	list := make([]Listed, 0, len(g.attachments)+len(g.interruptions))
	for _, a := range g.attachments {
		list = append(list, listed(a, a.key()))
	}
	for _, i := range g.interruptions {
		l := listed(i.entry, i.key)
		l.Interrupted = true
		list = append(list, l)
	}
	slices.SortStableFunc(list, func(a, b Listed) int { return compareKeys(a.Key, b.Key) })
	return list
}

func listed(a entry, key Key) Listed {
	return Listed{Key: key, Ruleset: a.ruleset.Name(), Folder: a.Folder, RulesetFolder: a.ruleset.Dir}
}

// Verify compares the attachment of a key with the desired state. Errors wrap
// attachment.ErrDiffers and name the differences.
func (r *Reader) Verify(key Key, dev hook.Device, desired Desired) error {
	found, err := r.find(key)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("%w: nothing is attached", attachment.ErrDiffers)
	}
	for _, a := range found {
		rs := desired.inModeOf(a).Ruleset
		err = errors.Join(err, a.Verify(a.ruleset.Dir, dev, rs, desired.Hook),
			a.VerifyOrder(a.ruleset.Dir, rs))
	}
	return err
}

// VerifyAbsent returns an error wrapping attachment.ErrDiffers if the key has an
// attachment.
func (r *Reader) VerifyAbsent(key Key) error {
	found, err := r.find(key)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: the configuration has no rules, but programs are attached", attachment.ErrDiffers)
	}
	return err
}
