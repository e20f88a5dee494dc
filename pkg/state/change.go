package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// ErrNotAttached is returned where there is nothing to change: no attachment of
// the key, or one whose device is gone.
var ErrNotAttached = errors.New("nothing is attached any more")

// Change brings an interface that is attached under other rules, on the device
// that it is on, as Attach does. It tells whether that changed anything. Foreign
// programs ahead of ours keep nothing from being changed.
//
// Returns an error wrapping ErrNotAttached where there is none, for example
// since the container has just stopped.
func (s *Store) Change(key Key, wanted Wanted) (changed bool, err error) {
	site, same, err := s.compare(key, wanted)
	if err != nil || same {
		return false, err
	}
	return true, s.bring(key, site, wanted, func([]published, Wanted) (bool, error) { return false, nil })
}

// WouldChange tells whether Change would change anything. Returns an error as
// Change does.
func (r *Reader) WouldChange(key Key, wanted Wanted) (bool, error) {
	_, same, err := r.store.compare(key, wanted)
	if errors.Is(err, errInterrupted) { // Change puts back what was there, and goes on from that
		return true, nil
	}
	return !same, err
}

// compare returns the site that an interface is attached at, and whether that is
// as wanted already.
func (s *Store) compare(key Key, wanted Wanted) (site hook.InterfaceState, same bool, err error) {
	existing, err := s.find(key)
	if err != nil {
		return site, false, err
	}
	if len(existing) == 0 {
		return site, false, s.notAttached(key)
	}
	dev, err := locate(existing, wanted)
	if err != nil {
		return site, false, err
	}
	if site, err = hook.Inspect(dev); err != nil {
		return site, false, err
	}
	wanted = wanted.choose(existing, site)
	return site, served(existing, s.folder(wanted), dev, wanted), nil
}

// notAttached says why nothing is attached: nothing is to be, or nothing can be.
func (s *Store) notAttached(key Key) error {
	list, err := s.interruptions()
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.key == key {
			return s.unrestoredError(key)
		}
	}
	return ErrNotAttached
}

// unrestoredError says why a key is without rules, as far as that is known.
func (s *Store) unrestoredError(key Key) error {
	if why := s.unrestored[key]; why != nil {
		return fmt.Errorf("%w: %w", errInterrupted, why)
	}
	return errInterrupted
}

// Unrestored returns an error that says which containers are without rules since a
// change of theirs was interrupted, and why opening the Store could not put those
// back; nil if there is none. Another node's are that one's to report.
func (s *Store) Unrestored() error {
	list, err := s.interruptions()
	errs := []error{err}
	for _, i := range list {
		if !errors.Is(s.unrestored[i.key], errElsewhere) {
			errs = append(errs, fmt.Errorf("%s: %w", i.key, s.unrestoredError(i.key)))
		}
	}
	return errors.Join(errs...)
}

var errInterrupted = errors.New("it is without rules: a change of its mode, tc hook or device was interrupted, " +
	"and what was attached before could not be attached again")

// locate returns the device that the attachments are on. What is gone is no
// attachment any more, unless there is nothing else.
func locate(existing []published, wanted Wanted) (hook.Device, error) {
	var errs []error
	for _, a := range existing {
		record, err := a.folder.Record()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		switch found := a.folder.Locate(record, wanted.Ruleset.NetNS); found.Presence {
		case attachment.Here:
			return found.Device, nil
		case attachment.Gone:
			errs = append(errs, fmt.Errorf("%w: %s", ErrNotAttached, found.Why))
		case attachment.Elsewhere:
			errs = append(errs, fmt.Errorf("%s: run this where the container runtime runs", found.Why))
		default:
			errs = append(errs, fmt.Errorf("%w: %s", hook.ErrAttach, found.Why))
		}
	}
	return hook.Device{}, errors.Join(errs...)
}
