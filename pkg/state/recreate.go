package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// recreation removes the attachments of a key and attaches the desired state, for
// another mode, tc hook or device. No link update can do that.
//
// The container has no rules for a moment, so the lock is kept. The former state is
// saved first. After an error it is attached again; after a kill the next transaction
// attaches it, see reattachSaved.
type recreation struct {
	t        *Transaction
	existing []entry
	iface    hook.InterfaceState
	build    build
	desired  Desired
}

func (r *recreation) run() error {
	t := r.t
	r.build.policy = keepLock
	defer t.prune(r.build.ruleset)
	if err := r.preload(); err != nil {
		return err
	}
	old, err := t.save(r.existing, r.desired)
	if err != nil {
		return err
	}
	r.build.record.Accumulated = old.accumulated
	if err := old.copyFlows(r.build.ruleset, r.build.record); err != nil {
		return errors.Join(err, t.release(old))
	}
	err = r.swap()
	if err != nil && old.record != nil {
		if failed := t.reattach(r.build.key, old.entry.ruleset, *old.record); failed != nil {
			// The next transaction finds the saved state.
			return errors.Join(err, failed, old.reservation.abandon())
		}
	}
	return errors.Join(err, t.release(old))
}

// preload loads the new ruleset while the old one is in force.
func (r *recreation) preload() error {
	programs, err := r.t.openOrLoad(r.build.ruleset, r.desired, nil)
	if err != nil {
		return err
	}
	return programs.Close()
}

func (r *recreation) swap() error {
	for _, a := range r.existing {
		if err := r.t.remove(a, keepLock); err != nil {
			return err
		}
	}
	if err := r.t.removeOrphaned(r.iface); err != nil {
		return err
	}
	return r.t.attachNew(r.build, r.desired)
}

// saved is the former state of a key. It is in a reservation of the former ruleset.
type saved struct {
	entry       entry
	record      *attachment.Record // nil if there is nothing to attach again
	accumulated *datapath.Counters // the counters with which the new attachment starts
	reservation *pending
}

// save saves the former state before anything changes.
func (t *Transaction) save(existing []entry, desired Desired) (*saved, error) {
	a, record, err := attachedOf(existing, desired)
	if err != nil {
		return nil, err
	}
	reservation, err := t.reserve(a.ruleset)
	if err != nil {
		return nil, err
	}
	old := &saved{entry: a, reservation: reservation}
	if record == nil {
		return old, nil
	}
	if counters, err := a.Counters(a.ruleset.Dir); err == nil {
		record.Accumulated = counters
	}
	old.record = record
	old.accumulated, _ = a.AccumulateCounters(a.ruleset.Dir, desired.Ruleset.Rules)
	if err := record.Keep(reservation.Folder); err != nil {
		return nil, errors.Join(err, t.release(old))
	}
	return old, nil
}

// attachedOf returns the attachment that is on its device, and its record. The record is
// nil if none is. A record that cannot be read is an error, so that nothing changes.
func attachedOf(existing []entry, desired Desired) (entry, *attachment.Record, error) {
	for _, a := range existing {
		record, err := a.Record()
		if err != nil && attachment.IsNoRecord(err) {
			continue
		}
		if err != nil {
			return a, nil, err
		}
		switch found := a.Locate(record, desired.Ruleset.NetNS); {
		case found.Presence == attachment.Undetermined:
			return a, nil, fmt.Errorf("%w: %s", hook.ErrInspect, found.Why)
		case found.Presence == attachment.Here && !found.Bare:
			record.Device = found.Device // the record of an earlier build has no serial number
			record.Device.Serial = veth.SerialOf(found.Device.Index, found.Device.Name)
			return a, record, nil
		}
	}
	return existing[0], nil, nil
}

// copyFlows copies the flows to the new ruleset, if the device stays the same. It misses
// flows that begin or change before the new attachment is active.
func (old *saved) copyFlows(to ruleset, next attachment.Record) error {
	if old.record == nil || old.record.Device.Index != next.Device.Index {
		return nil
	}
	return copyFlows(old.entry.ruleset, to, next.Device.Index)
}

// release drops the saved state, which is attached again or not needed any more.
func (t *Transaction) release(old *saved) error {
	err := old.reservation.discard()
	t.prune(old.entry.ruleset)
	return err
}
