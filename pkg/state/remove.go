package state

import (
	"errors"
	"os"
)

// Detach removes the attachments of a key, and each ruleset that becomes unused. It is
// no error if there are none. It cancels an ADD of the key that is under way.
func (t *Transaction) Detach(key Key) error {
	if err := t.cancelPending(key); err != nil {
		return err
	}
	found, err := t.find(key)
	if err != nil {
		return err
	}
	for _, a := range found {
		err = errors.Join(err, t.remove(a, releaseLock))
	}
	if !t.lock.isHeld() {
		return err
	}
	return errors.Join(err, t.forget(func(k Key) bool { return k == key }))
}

// forget drops the saved states of the matching keys, so that no transaction attaches
// them again.
func (t *Transaction) forget(matches func(Key) bool) error {
	list, err := t.interruptions()
	errs := []error{err}
	for _, i := range list {
		if matches(i.key) {
			errs = append(errs, discard(i.path()))
			t.prune(i.ruleset)
		}
	}
	return errors.Join(errs...)
}

// remove removes an attachment. It disables the device first, so that all rules end at
// one instant. It is no error if another process removes the attachment first.
//
// With releaseLock other processes need not wait while the kernel detaches the
// programs. With keepLock the tc programs are gone when remove returns.
func (t *Transaction) remove(a entry, policy lockPolicy) error {
	if err := t.lock.require(); err != nil {
		return err
	}
	if exists, err := a.exists(); !exists || err != nil {
		return err
	}
	if err := a.disable(); err != nil {
		return err
	}
	withdrawn, err := t.withdraw(a)
	if err != nil {
		return err
	}
	var discarded error
	err = t.whileKernelWorks(policy, func() error {
		discarded = withdrawn.detach(policy)
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil // the pending folder is gone, so another process removed the empty state folder
	}
	t.prune(a.ruleset)
	return errors.Join(discarded, err)
}

// detach removes a withdrawn attachment. The kernel detaches an unpinned tcx link some
// time later; with keepLock a new link follows, so the old one is detached at once.
func (p *pending) detach(policy lockPolicy) error {
	if policy == keepLock {
		if err := p.DetachTCX(); err != nil {
			return errors.Join(err, p.abandon())
		}
	}
	return p.discard()
}

// disable removes the activation of the attachment's device. It keeps the activation if
// the device's index belongs to another container of the ruleset now.
func (a entry) disable() error {
	record, err := a.Record()
	if err != nil {
		return a.disableByLink()
	}
	if needed, err := a.isNeededByOther(record.Device.Index); needed || err != nil {
		return err
	}
	return a.ruleset.Disable(record.Activation())
}

// isNeededByOther reports whether another attachment of the ruleset needs an activation
// without an owner, as earlier builds write it. Otherwise the owner decides.
func (a entry) isNeededByOther(index int) (bool, error) {
	activation, err := a.ruleset.ActivationAt(index)
	if activation == nil || activation.Owner != 0 || err != nil {
		return false, err
	}
	published, err := a.ruleset.attachments()
	for _, other := range published {
		if other == a {
			continue
		}
		if isOn, err := other.IsPlacedAt(index); isOn || err != nil {
			return isOn, err
		}
	}
	return false, err
}

// disableByLink disables the device of the attachment's links. It serves attachments
// without a readable record.
func (a entry) disableByLink() error {
	index := a.PlacedAt()
	if index == 0 {
		return nil
	}
	activation, err := a.ruleset.ActivationAt(index)
	if activation == nil || err != nil {
		return err
	}
	return a.ruleset.Disable(*activation)
}
