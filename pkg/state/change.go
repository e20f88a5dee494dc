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
	site, same, err := s.compare(key, wanted)
	if err != nil || same {
		return false, err
	}
	return true, s.Attach(key, site, wanted)
}

// WouldChange tells whether Change would change anything. Returns an error as
// Change does.
func (r *Reader) WouldChange(key Key, wanted Wanted) (bool, error) {
	_, same, err := r.store.compare(key, wanted)
	return !same, err
}

// compare returns the site that an interface is attached at, and whether that is
// as wanted already.
func (s *Store) compare(key Key, wanted Wanted) (site datapath.Site, same bool, err error) {
	existing, err := s.find(key)
	if err != nil {
		return site, false, err
	}
	if len(existing) == 0 {
		return site, false, ErrNotAttached
	}
	record, err := datapath.ReadRecord(existing[0].folder)
	if err != nil {
		return site, false, err
	}
	if record.NetNS != wanted.Ruleset.NetNS {
		return site, false, errors.New("it is in another network namespace: run this where the container runtime runs")
	}
	dev := record.Device
	switch exists, err := dev.Exists(); {
	case err != nil:
		return site, false, err
	case !exists:
		return site, false, fmt.Errorf("%w: its device %s is gone", ErrNotAttached, dev.Name)
	}
	if site, err = datapath.Survey(dev); err != nil {
		return site, false, err
	}
	wanted = wanted.choose(existing, site)
	return site, served(existing, s.folder(wanted), dev, wanted), nil
}
