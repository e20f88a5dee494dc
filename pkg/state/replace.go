package state

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/kernel"
)

// canBecome tells whether the attachment can be given other programs without a
// gap, as against being removed and made anew.
func (a published) canBecome(dev hook.Device, wanted Wanted) bool {
	return a.folder.CanReplace(dev, wanted.Ruleset.NetNS, wanted.Ruleset.Mode, wanted.Hook)
}

// replace exchanges the rules of a running container: each packet is under the
// old rules or the new ones, and all of them change in one instant. Its flows and
// counters come along.
//
// A note says that this is going on, for who finds that it was not finished. On
// an error the old programs are put back, or, where the new rules are in force
// already, the next change does what is left.
func (s *Store) replace(key Key, old published, dev hook.Device, ruleset datapath.Dir, wanted Wanted) error {
	if err := s.unsettled[ruleset]; err != nil {
		return fmt.Errorf("an earlier exchange of rules is not done: %w", err)
	}
	programs, err := s.ensureRuleset(ruleset, wanted, old.ruleset)
	if err != nil {
		return err
	}
	defer programs.Close()
	record, err := old.folder.Record()
	if err != nil {
		return err
	}
	note := attachment.Intent{
		Owner: key.encode(), Device: dev, ID: record.ID, NetNS: wanted.Ruleset.NetNS,
		From: old.ruleset.Name(), ContainerRules: wanted.ContainerRules,
	}
	claim, err := s.noteExchange(ruleset, note)
	if err == nil {
		err = s.exchange(old, note.Activation(), programs, ruleset, wanted)
		if unsettled := s.settle(ruleset, &note); unsettled != nil {
			return errors.Join(err, unsettled, claim.lock.Close())
		}
		_ = claim.discard()
	}
	s.prune(old.ruleset)
	s.prune(ruleset)
	return err
}

// noteExchange leaves a note in the new ruleset before anything is exchanged.
func (s *Store) noteExchange(ruleset datapath.Dir, note attachment.Intent) (*claim, error) {
	claim, err := s.hold(ruleset)
	if err != nil {
		return nil, err
	}
	if err := note.Pin(claim.folder); err != nil {
		return nil, errors.Join(err, claim.discard())
	}
	return claim, nil
}

// exchange puts the new programs in the place of the old ones, to which they
// hand all packets over until they are told to heed the device. That is the one
// instant from which the new rules are in force.
func (s *Store) exchange(old published, activation datapath.Activation, programs *datapath.Programs, ruleset datapath.Dir, wanted Wanted) error {
	hooks, err := old.ruleset.Hooks()
	if err != nil {
		return err
	}
	before, err := old.ruleset.Open(hooks)
	if err != nil {
		return err
	}
	defer before.Close()
	if err := programs.Extend(ruleset, wanted.Ruleset, wanted.Table, hooks); err != nil {
		return err
	}
	if err := copyFlows(old.ruleset, ruleset, activation.Index); err != nil {
		return err
	}
	handsOver, err := ruleset.HandOver(before)
	if err != nil {
		return err
	}
	if !handsOver {
		return exchangeOneByOne(old, activation, programs, ruleset)
	}
	if err := old.folder.Replace(programs); err != nil {
		return err
	}
	// A packet that the old XDP program changed is still to be completed by a tc
	// program that understands its hint: while the old rules are in force.
	kernel.Quiesce()
	return programs.Enable(activation)
}

// exchangeOneByOne is for programs that cannot hand packets over: both rulesets
// heed the device while they are exchanged one by one.
func exchangeOneByOne(old published, activation datapath.Activation, programs *datapath.Programs, ruleset datapath.Dir) error {
	if err := programs.Enable(activation); err != nil {
		return err
	}
	err := old.folder.Replace(programs)
	if err == nil {
		return nil
	}
	if failed := old.folder.Restore(old.ruleset); failed != nil {
		return errors.Join(err, failed)
	}
	return errors.Join(err, ruleset.Disable(activation))
}

func copyFlows(from, to datapath.Dir, ifindex int) error {
	source, err := from.OpenFlows()
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.OpenFlows()
	if err != nil {
		return err
	}
	defer target.Close()
	return flow.Copy(source, target, ifindex)
}
