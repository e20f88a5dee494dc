package state

import (
	"errors"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// attachAnew takes off what there is of the key and attaches what is wanted:
// for another mode, tc hook or device, which no link.Update can give. Where
// that fails the old attachment is put back.
func (s *Store) attachAnew(key Key, existing []attachment, site datapath.Site, record datapath.Record, ruleset string, wanted Wanted) error {
	s.insist = true
	defer func() { s.insist = false }()
	defer s.prune(ruleset)
	if err := s.preload(ruleset, wanted); err != nil {
		return err
	}
	old, err := s.keep(existing[0], wanted)
	if err != nil {
		return err
	}
	record.Carried = old.carried
	if err = s.exchangeWhole(key, existing, site, record, ruleset, wanted); err != nil {
		err = errors.Join(err, s.putBack(key, old))
	}
	return errors.Join(err, s.release(old))
}

// preload has the new ruleset loaded while the old one is still in force.
func (s *Store) preload(ruleset string, wanted Wanted) error {
	programs, err := s.ensureRuleset(ruleset, wanted, "")
	if err != nil {
		return err
	}
	return programs.Close()
}

func (s *Store) exchangeWhole(key Key, existing []attachment, site datapath.Site, record datapath.Record, ruleset string, wanted Wanted) error {
	for _, a := range existing {
		if err := s.remove(a); err != nil {
			return err
		}
	}
	if err := s.removeLost(site); err != nil {
		return err
	}
	return s.attachNew(key, record, ruleset, wanted)
}

// kept is an attachment that is taken off, and may have to be put back.
type kept struct {
	attachment
	record  *datapath.Record   // nil: there is nothing to put back
	carried *datapath.Counters // what the one that takes its place goes on from
	hold    *claim             // keeps the ruleset
}

// keep reads what there is to be put back. It is pinned as well, to see while
// there is time whether that can be done.
func (s *Store) keep(a attachment, wanted Wanted) (*kept, error) {
	hold, err := s.hold(a.ruleset)
	if err != nil {
		return nil, err
	}
	old := &kept{attachment: a, hold: hold}
	record, err := datapath.ReadRecord(a.folder)
	if err != nil || !datapath.IsLive(a.folder, record) {
		return old, nil //nolint:nilerr // what is not there need not be kept
	}
	if counted, err := datapath.ReadCounters(a.folder, a.ruleset); err == nil {
		record.Carried = counted
	}
	old.record = record
	old.carried, _ = datapath.CarryCounters(a.folder, a.ruleset, wanted.Ruleset.Rules)
	if err := record.Keep(hold.folder); err != nil {
		return nil, errors.Join(err, s.release(old))
	}
	return old, nil
}

func (s *Store) putBack(key Key, old *kept) error {
	switch {
	case s.lock == nil:
		return ErrBusy
	case old.record == nil:
		return nil
	}
	if isThere, err := old.exists(); isThere || err != nil {
		return errors.Join(err, old.reactivate())
	}
	s.sweepClaims() // what could not be taken off is still in the way
	return s.attach(key, *old.record, old.ruleset, func() (*datapath.Programs, error) { return datapath.OpenAll(old.ruleset) })
}

// reactivate is for what was not taken off yet.
func (k *kept) reactivate() error {
	if active, err := datapath.IsActive(k.ruleset, k.record.Device.Index); active || err != nil {
		return err
	}
	programs, err := datapath.OpenAll(k.ruleset)
	if err != nil {
		return err
	}
	defer programs.Close()
	return errors.Join(
		datapath.Carry(k.folder, k.record.Carried, k.record.CarriedFrom, k.record.ContainerRules),
		programs.Activate(uint32(k.record.Device.Index)))
}

func (s *Store) release(old *kept) error {
	err := old.hold.discard()
	s.prune(old.ruleset)
	return err
}
