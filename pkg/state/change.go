package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// Change brings an attached interface into another desired state, as Attach does, on the
// device that it is on. It reports whether that changed anything. Foreign programs ahead
// of the attachment's own do not prevent a change.
//
// Errors wrap ErrNotAttached if there is no attachment, for example because the
// container has just stopped.
func (t *Transaction) Change(key Key, desired Desired) (changed bool, err error) {
	iface, isServed, err := t.compare(key, desired)
	if errors.Is(err, errInterrupted) {
		err = t.failures.interruption(key)
	}
	if err != nil || isServed {
		return false, err
	}
	return true, t.bring(key, iface, desired, ignoreOrder)
}

// WouldChange reports whether Change would change anything. Errors are those of Change.
func (r *Reader) WouldChange(key Key, desired Desired) (bool, error) {
	_, isServed, err := r.compare(key, desired)
	if errors.Is(err, errInterrupted) { // the transaction attaches the former state first
		return true, nil
	}
	return !isServed, err
}

// IsAttached reports whether a key has an attachment.
func (t *Transaction) IsAttached(key Key) (bool, error) {
	found, err := t.find(key)
	return len(found) > 0, err
}

// compare returns the present state of an attached interface, and whether it is the
// desired one.
func (t tree) compare(key Key, desired Desired) (iface hook.InterfaceState, served bool, err error) {
	existing, err := t.find(key)
	if err != nil {
		return iface, false, err
	}
	if len(existing) == 0 {
		return iface, false, t.notAttached(key)
	}
	dev, err := locate(existing, desired)
	if err != nil {
		return iface, false, err
	}
	if iface, err = hook.Inspect(dev); err != nil {
		return iface, false, err
	}
	desired = desired.choose(existing, iface)
	return iface, isServed(existing, t.rulesetOf(desired), desired, dev), nil
}

// notAttached returns errInterrupted or ErrNotAttached for a key without an attachment.
func (t tree) notAttached(key Key) error {
	list, err := t.interruptions()
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.key == key {
			return errInterrupted
		}
	}
	return ErrNotAttached
}

// locate returns the device of the attachments. It skips attachments on a device that is
// gone, unless there are no others.
func locate(existing []entry, desired Desired) (hook.Device, error) {
	var errs []error
	for _, a := range existing {
		record, err := a.Record()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		switch found := a.Locate(record, desired.Ruleset.NetNS); found.Presence {
		case attachment.Here:
			return found.Device, nil
		case attachment.Gone:
			errs = append(errs, fmt.Errorf("%w: %s", ErrNotAttached, found.Why))
		case attachment.Elsewhere:
			errs = append(errs, fmt.Errorf("%s: run this in the network namespace of the container runtime", found.Why))
		default:
			errs = append(errs, fmt.Errorf("%w: %s", hook.ErrInspect, found.Why))
		}
	}
	return hook.Device{}, errors.Join(errs...)
}
