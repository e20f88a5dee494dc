package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// ErrNotAttached is returned where there is nothing to change: no attachment of
// the key, or one whose device is gone.
var ErrNotAttached = errors.New("nothing is attached any more")

// Change brings an interface that is attached under other rules, on the device
// that it is on, as Attach does. It tells whether that changed anything.
//
// Returns an error wrapping ErrNotAttached where there is none, for example
// since the container has just stopped.
func (s *Store) Change(key Key, wanted Wanted) (changed bool, err error) {
	dev, same, err := s.compare(key, wanted)
	if err != nil || same {
		return false, err
	}
	return true, s.Attach(key, dev, wanted)
}

// WouldChange tells whether Change would change anything. Returns an error as
// Change does.
func (r *Reader) WouldChange(key Key, wanted Wanted) (bool, error) {
	_, same, err := r.store.compare(key, wanted)
	return !same, err
}

// compare returns the device that an interface is attached by, and whether that
// is as wanted already.
func (s *Store) compare(key Key, wanted Wanted) (dev datapath.Device, same bool, err error) {
	existing, err := s.find(key)
	if err != nil {
		return dev, false, err
	}
	if len(existing) == 0 {
		return dev, false, ErrNotAttached
	}
	record, err := datapath.ReadRecord(existing[0].folder)
	if err != nil {
		return dev, false, err
	}
	dev = record.Device
	switch {
	case record.NetNS != wanted.Ruleset.NetNS:
		return dev, false, errors.New("it is in another network namespace: run this where the container runtime runs")
	case !dev.Exists():
		return dev, false, fmt.Errorf("%w: its device %s is gone", ErrNotAttached, dev.Name)
	}
	wanted = wanted.choose(existing, dev)
	return dev, served(existing, s.folder(wanted), dev, wanted), nil
}
