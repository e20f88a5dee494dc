package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// attachAnew takes off what there is of the key and attaches what is wanted:
// for another mode, tc hook or device, which no link.Update can give. Where
// that fails the old attachment is put back; where the process is killed, the
// next one that has the lock does that, see restore.
func (s *Store) attachAnew(key Key, existing []published, site hook.InterfaceState, record attachment.Record, ruleset datapath.Dir, wanted Wanted) error {
	defer s.keepLock()()
	defer s.prune(ruleset)
	if err := s.preload(ruleset, wanted); err != nil {
		return err
	}
	old, err := s.keep(existing, wanted)
	if err != nil {
		return err
	}
	record.Carried = old.carried
	if err := old.copyFlows(ruleset, record); err != nil {
		return errors.Join(err, s.release(old))
	}
	err = s.exchangeWhole(key, existing, site, record, ruleset, wanted)
	if err != nil && old.record != nil {
		if failed := s.putBack(key, old.ruleset, *old.record); failed != nil {
			// It is left to the next one, who finds what was kept.
			return errors.Join(err, failed, old.hold.lock.Close())
		}
	}
	return errors.Join(err, s.release(old))
}

// keepLock has the lock kept while a container is without its rules, until the
// function returned is called.
func (s *Store) keepLock() (end func()) {
	before := s.insist
	s.insist = true
	return func() { s.insist = before }
}

// preload has the new ruleset loaded while the old one is still in force.
func (s *Store) preload(ruleset datapath.Dir, wanted Wanted) error {
	programs, err := s.ensureRuleset(ruleset, wanted, "")
	if err != nil {
		return err
	}
	return programs.Close()
}

func (s *Store) exchangeWhole(key Key, existing []published, site hook.InterfaceState, record attachment.Record, ruleset datapath.Dir, wanted Wanted) error {
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
	published
	record  *attachment.Record // nil: there is nothing to put back
	carried *datapath.Counters // what the one that takes its place goes on from
	hold    *claim             // keeps the ruleset, and has the record
}

// keep notes what there is to be put back, in the ruleset of that, before anything
// is touched.
func (s *Store) keep(existing []published, wanted Wanted) (*kept, error) {
	a, record, err := placed(existing, wanted)
	if err != nil {
		return nil, err
	}
	hold, err := s.hold(a.ruleset)
	if err != nil {
		return nil, err
	}
	old := &kept{published: a, hold: hold}
	if record == nil {
		return old, nil
	}
	if counted, err := a.folder.Counters(a.ruleset); err == nil {
		record.Carried = counted
	}
	old.record = record
	old.carried, _ = a.folder.CarryCounters(a.ruleset, wanted.Ruleset.Rules)
	if err := record.Keep(hold.folder); err != nil {
		return nil, errors.Join(err, s.release(old))
	}
	return old, nil
}

// copyFlows copies its flows to the ruleset that takes its place, on the same device:
// those that begin, or change, until it has taken it are lost.
func (k *kept) copyFlows(ruleset datapath.Dir, next attachment.Record) error {
	if k.record == nil || k.record.Device.Index != next.Device.Index {
		return nil
	}
	return copyFlows(k.ruleset, ruleset, next.Device.Index)
}

// placed returns the one of the attachments that is on its device, with its
// record; of none the record is nil. What cannot be read for now is not touched.
func placed(existing []published, wanted Wanted) (published, *attachment.Record, error) {
	for _, a := range existing {
		record, err := a.folder.Record()
		if err != nil && attachment.IsNoRecord(err) {
			continue
		}
		if err != nil {
			return a, nil, err
		}
		switch found := a.folder.Locate(record, wanted.Ruleset.NetNS); {
		case found.Presence == attachment.Undetermined:
			return a, nil, fmt.Errorf("%w: %s", hook.ErrAttach, found.Why)
		case found.Presence == attachment.Here && !found.Bare:
			record.Device = found.Device // an earlier build noted no serial number
			record.Device.Serial = veth.SerialOf(found.Device.Index, found.Device.Name)
			return a, record, nil
		}
	}
	return existing[0], nil, nil
}

// release gives up what was kept: it is put back, or nobody needs it any more.
func (s *Store) release(old *kept) error {
	err := old.hold.discard()
	s.prune(old.ruleset)
	return err
}

// putBack attaches a container under its rules again, or goes on with what there
// is of it: whatever is published is on the device with all its programs.
func (s *Store) putBack(key Key, ruleset datapath.Dir, record attachment.Record) error {
	if s.lock == nil {
		return bpffs.ErrBusy
	}
	existing, err := s.find(key)
	if err != nil {
		return err
	}
	for _, a := range existing {
		if done, err := a.enableAgain(&record); done || err != nil {
			return err
		}
	}
	s.sweepOthers() // what could not be taken off is still in the way
	record.ID = datapath.NewID()
	return s.attach(key, record, ruleset, nil, func() (*datapath.Programs, error) { return ruleset.OpenAll() })
}

// enableAgain is for an attachment that is published, but that the programs may
// not process packets for. It tells whether they do, now. before is the record of
// what was attached before.
func (a published) enableAgain(before *attachment.Record) (done bool, err error) {
	record, err := a.folder.Record()
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
	if record.ID == before.ID { // it began to be taken off, and its counters are gone
		err = a.folder.Carry(before.Carried, before.CarriedFrom, before.ContainerRules)
	}
	if err == nil {
		err = programs.Enable(record.Activation())
	}
	return err == nil, err
}

// restore does what the dead owner of a claim has left to do if that was taking an
// attachment off, to attach it in another way: one of both is to be there. A
// container that is without rules gets the old ones again.
//
// Returns an error wrapping errElsewhere for another node's.
func (s *Store) restore(ruleset datapath.Dir, record *attachment.Record) error {
	key, err := decodeKey(record.Owner)
	if err != nil {
		return nil //nolint:nilerr // nobody knows what it is about
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
		return fmt.Errorf("%w: %s", hook.ErrAttach, found.Why)
	}
	defer s.keepLock()()
	if err := s.putBack(key, ruleset, *record); err != nil {
		return fmt.Errorf("attach %s again, whose mode, tc hook or device was being changed: %w", key, err)
	}
	return nil
}

// interrupted is a container without rules: to be attached in another way it was
// taken off, by a process that did not get further.
type interrupted struct {
	published // its folder is the claim
	key       Key
	record    *attachment.Record
}

// interruptions returns them. Where the key is attached there is nothing to report.
func (s *Store) interruptions() ([]interrupted, error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	var list []interrupted
	for _, ruleset := range rulesets {
		for _, folder := range claimsOf(ruleset) {
			record, err := folder.Kept()
			if err != nil && attachment.IsNoRecord(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			key, err := decodeKey(record.Owner)
			if err != nil {
				continue
			}
			if attached, err := s.IsAttached(key); attached || err != nil {
				if err != nil {
					return nil, err
				}
				continue
			}
			list = append(list, interrupted{published{ruleset, folder}, key, record})
		}
	}
	return list, nil
}

// forget gives up what was kept of the keys that match: they are not to be
// attached again.
func (s *Store) forget(matches func(Key) bool) error {
	list, err := s.interruptions()
	errs := []error{err}
	for _, i := range list {
		if matches(i.key) {
			errs = append(errs, discard(i.folder))
			s.prune(i.ruleset)
		}
	}
	return errors.Join(errs...)
}
