package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// recoverPending recovers the pending attachments of dead processes. It returns the pending
// attachments that save a former state, and leaves them as they are: reattachSaved
// needs a device that nothing else is in the way of.
func (t *Transaction) recoverPending() (saved []entry) {
	all, _ := t.pending()
	for _, a := range all {
		if !a.isAbandoned() {
			continue
		}
		switch _, err := a.Kept(); {
		case err == nil:
			saved = append(saved, a)
		case !attachment.IsNoRecord(err): // unreadable now; a later transaction tries again
		case t.recoverReplacement(a) == nil:
			_ = discard(a.path())
		}
	}
	return saved
}

// recoverReplacement finishes the replacement of a dead process, if the pending
// attachment contains an intent record.
func (t *Transaction) recoverReplacement(a entry) error {
	intent, err := a.Intent()
	if err != nil && attachment.IsNoRecord(err) {
		return nil
	}
	if err == nil {
		err = t.finishReplacement(a.ruleset, intent)
	}
	if err != nil && !errors.Is(err, errElsewhere) {
		t.failures.addReplacement(a.ruleset, err)
	}
	return err
}

// reattach attaches the former state of a key again. A published attachment of the key
// has all its programs on the device, and only needs to be enabled.
func (t *Transaction) reattach(key Key, r ruleset, record attachment.Record) error {
	if err := t.lock.require(); err != nil {
		return err
	}
	existing, err := t.find(key)
	if err != nil {
		return err
	}
	for _, a := range existing {
		if done, err := a.enableAgain(&record); done || err != nil {
			return err
		}
	}
	t.recoverPending() // a failed removal may be in the way
	record.ID = datapath.NewID()
	return t.attach(build{key: key, record: record, ruleset: r, policy: keepLock},
		func() (*datapath.Programs, error) { return r.OpenAll() })
}

// enableAgain enables the device of a published attachment, unless it is enabled. It
// reports whether the device is enabled now. former is the record of the saved state.
func (a entry) enableAgain(former *attachment.Record) (done bool, err error) {
	record, err := a.Record()
	if err != nil {
		return false, err
	}
	enabled, err := a.ruleset.IsEnabled(record.Activation())
	if enabled || err != nil {
		return enabled, err
	}
	programs, err := a.ruleset.OpenAll()
	if err != nil {
		return false, err
	}
	defer programs.Close()
	if record.ID == former.ID { // its removal has begun, and has cleared its counters
		err = a.SetAccumulated(former.Accumulated, former.AccumulatedFrom, former.ContainerRules)
	}
	if err == nil {
		err = programs.Enable(record.Activation())
	}
	return err == nil, err
}

// reattachSaved attaches a state again that a dead process has saved, unless the
// device is gone.
//
// The error wraps errElsewhere if the device is another node's.
func (t *Transaction) reattachSaved(r ruleset, record *attachment.Record) error {
	key, err := decodeKey(record.Owner)
	if err != nil {
		return nil //nolint:nilerr // the record names no container to restore
	}
	own, err := veth.OwnNetNS()
	if err != nil {
		return err
	}
	switch found := attachment.LocateKept(record, own); found.Presence {
	case attachment.Gone:
		return nil
	case attachment.Here:
		record.Device = found.Device
	case attachment.Elsewhere:
		return errElsewhere
	default:
		return fmt.Errorf("%w: %s", hook.ErrInspect, found.Why)
	}
	if err := t.reattach(key, r, *record); err != nil {
		return fmt.Errorf("attach %s again after an unfinished change of mode, tc hook or device: %w", key, err)
	}
	return nil
}

// recoverSaved attaches the former state in an abandoned pending attachment again.
func (t *Transaction) recoverSaved(a entry) {
	record, err := a.Kept()
	if err != nil {
		return
	}
	if err := t.reattachSaved(a.ruleset, record); err == nil {
		_ = discard(a.path())
	} else if key, failed := decodeKey(record.Owner); failed == nil {
		t.failures.addReattachment(key, err)
	}
}

// Unrestored returns an error about each container that has no rules after an
// interrupted change, and that this transaction could not attach again. It omits the
// containers of other nodes.
func (t *Transaction) Unrestored() error {
	list, err := t.interruptions()
	errs := []error{err}
	for _, i := range list {
		if !errors.Is(t.failures.reattachments[i.key], errElsewhere) {
			errs = append(errs, fmt.Errorf("%s: %w", i.key, t.failures.interruption(i.key)))
		}
	}
	return errors.Join(errs...)
}
