package state

import (
	"errors"
	"fmt"
	"os"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// replace replaces the rules of a running container. Each packet is under the old rules
// or the new ones, and all rules change at one instant. Flows and counters are kept.
//
// An intent record tells the next transaction what to finish if this process dies. On
// an error the old programs are back, or, if the new rules are already in force, the
// next transaction finishes.
func (t *Transaction) replace(key Key, old entry, dev hook.Device, r ruleset, desired Desired) error {
	if err := t.failures.replacements[r]; err != nil {
		return fmt.Errorf("an earlier replacement of rules is unfinished: %w", err)
	}
	programs, err := t.openOrLoad(r, desired, &old.ruleset)
	if err != nil {
		return err
	}
	defer programs.Close()
	record, err := old.Record()
	if err != nil {
		return err
	}
	intent := attachment.Intent{
		Owner: key.encode(), Device: dev, ID: record.ID, NetNS: desired.Ruleset.NetNS,
		From: old.ruleset.Name(), ContainerRules: desired.ContainerRules,
	}
	pinned, err := t.pinIntent(r, intent)
	if err == nil {
		err = replacePrograms(old, intent.Activation(), programs, r, desired)
		if unfinished := t.finishReplacement(r, &intent); unfinished != nil {
			return errors.Join(err, unfinished, pinned.abandon())
		}
		_ = pinned.discard()
	}
	t.prune(old.ruleset)
	t.prune(r)
	return err
}

// pinIntent pins the intent record in the new ruleset, before anything changes.
func (t *Transaction) pinIntent(r ruleset, intent attachment.Intent) (*pending, error) {
	p, err := t.reserve(r)
	if err != nil {
		return nil, err
	}
	if err := intent.Pin(p.Folder); err != nil {
		return nil, errors.Join(err, p.discard())
	}
	return p, nil
}

// replacePrograms updates the links to the new programs, which hand all packets over to
// the old programs at first. The new rules are in force from the instant that enables
// the device in the new ruleset.
func replacePrograms(old entry, activation datapath.Activation, programs *datapath.Programs, r ruleset, desired Desired) error {
	hooks, err := old.ruleset.Hooks()
	if err != nil {
		return err
	}
	before, err := old.ruleset.Open(hooks)
	if err != nil {
		return err
	}
	defer before.Close()
	if err := programs.Extend(r.Dir, desired.Ruleset, desired.Table, hooks); err != nil {
		return err
	}
	if err := copyFlows(old.ruleset, r, activation.Index); err != nil {
		return err
	}
	handsOver, err := r.HandOver(before)
	if err != nil {
		return err
	}
	if !handsOver {
		return replaceOneByOne(old, activation, programs, r)
	}
	if err := old.Replace(programs); err != nil {
		return err
	}
	// The old XDP program may have changed a packet. A tc program that understands its
	// hint must finish it, so the old rules stay in force until no packet is under way.
	kernel.Quiesce()
	return programs.Enable(activation)
}

// replaceOneByOne serves programs that cannot hand packets over. The device is enabled
// in both rulesets while the links are updated one by one.
func replaceOneByOne(old entry, activation datapath.Activation, programs *datapath.Programs, r ruleset) error {
	if err := programs.Enable(activation); err != nil {
		return err
	}
	err := old.Replace(programs)
	if err == nil {
		return nil
	}
	if failed := old.Restore(old.ruleset.Dir); failed != nil {
		return errors.Join(err, failed)
	}
	return errors.Join(err, r.Disable(activation))
}

// errElsewhere is the error of a change that a process of another network namespace
// must finish, which is another node's.
var errElsewhere = errors.New("device in another network namespace")

// finishReplacement finishes a replacement: forward if the new rules are in force, else
// back to the old programs. It can be repeated.
func (t tree) finishReplacement(r ruleset, intent *attachment.Intent) error {
	key, err := decodeKey(intent.Owner)
	if err != nil {
		return nil //nolint:nilerr // the intent record names no container
	}
	inForce, err := r.IsEnabled(intent.Activation())
	if err != nil {
		return err
	}
	old, moved := t.ruleset(intent.From).attachment(key), r.attachment(key)
	if err := finishOld(old, moved, inForce, intent); err != nil {
		return err
	}
	isMoved, err := moved.exists()
	switch {
	case err != nil:
	case isMoved:
		err = finishMoved(old, moved, intent)
	case inForce:
		err = r.Disable(intent.Activation()) // the attachment has been removed
	}
	if err != nil {
		return err
	}
	return r.EndHandOver()
}

// finishOld restores the old programs, or moves the attachment to the new ruleset with
// only the new programs on the device.
func finishOld(old, moved entry, inForce bool, intent *attachment.Intent) error {
	if exists, err := old.exists(); err != nil || !exists {
		return err
	}
	own, err := veth.OwnNetNS()
	switch {
	case err != nil:
		return err
	case !own.Is(intent.NetNS) && !intent.NetNS.IsSucceededBy(own):
		return errElsewhere
	}
	if inForce {
		// The old programs may have made flows after the first copy. Replies of these
		// flows are not translated back before this copy.
		if err := copyFlows(old.ruleset, moved.ruleset, intent.Device.Index); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	isPlaced, err := old.IsPlaced()
	switch {
	case err != nil:
		return err
	case !inForce && isPlaced:
		return old.Restore(old.ruleset.Dir)
	case !inForce:
		return nil
	case isPlaced:
		if err := useOnly(moved.ruleset, old); err != nil {
			return err
		}
	}
	if err := publish(old.path(), moved.path()); err != nil {
		return err
	}
	old.removeEmptyParents()
	return nil
}

// useOnly leaves only the programs of a ruleset on the attachment's device.
func useOnly(r ruleset, a entry) error {
	programs, err := r.OpenAll()
	if err != nil {
		return err
	}
	defer programs.Close()
	if err := a.Replace(programs); err != nil {
		return err
	}
	return a.Clear(programs)
}

// finishMoved adds the old programs' counters to the moved attachment, and disables its
// device in the old ruleset. If the record names the old ruleset, the counters are
// already in it.
func finishMoved(old, moved entry, intent *attachment.Intent) error {
	record, err := moved.Record()
	if err != nil {
		return err
	}
	if record.AccumulatedFrom != intent.From {
		if err := accumulateCounters(old, moved, intent); err != nil {
			return err
		}
	}
	return old.ruleset.Disable(intent.Activation())
}

// accumulateCounters adds the final counters of the old programs to the record of the
// moved entry, unless their pins have been removed.
func accumulateCounters(old, moved entry, intent *attachment.Intent) error {
	kernel.Quiesce()
	rs, err := moved.ruleset.Description()
	if err != nil {
		return err
	}
	counters, err := moved.AccumulateCounters(old.ruleset.Dir, rs.Rules)
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist):
	case errors.Is(err, pin.ErrPin):
		return err
	default:
		return fmt.Errorf("%w: read the old counters: %w", datapath.ErrActivation, err)
	}
	return moved.SetAccumulated(counters, intent.From, intent.ContainerRules)
}
