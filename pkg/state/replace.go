package state

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// canBecome tells whether the attachment can be given other programs without a
// gap, as against being removed and made anew.
func (a attachment) canBecome(dev datapath.Device, wanted Wanted) bool {
	return datapath.CanReplace(a.folder, dev, wanted.Ruleset.Mode, wanted.Hook)
}

// replace exchanges the rules of a running container. Both rulesets heed the
// device while its programs are exchanged one by one, so that each packet is
// under the old rules or the new ones; its flows and counters come along. On
// an error the old programs are put back.
func (s *Store) replace(key Key, old attachment, dev datapath.Device, ruleset string, wanted Wanted) error {
	programs, err := s.ensureRuleset(ruleset, wanted, old.ruleset)
	if err != nil {
		return err
	}
	defer programs.Close()
	if err := s.exchange(old, dev, programs, ruleset); err != nil {
		err = errors.Join(err,
			datapath.Restore(old.folder, old.ruleset),
			datapath.Deactivate(ruleset, dev.Index))
		s.prune(ruleset)
		return err
	}
	// The new rules are in force; what fails from here on changes nothing about it.
	err = errors.Join(
		carry(old, wanted),
		s.move(key, old, ruleset),
		datapath.Deactivate(old.ruleset, dev.Index))
	s.prune(old.ruleset)
	return err
}

func (s *Store) exchange(old attachment, dev datapath.Device, programs *datapath.Programs, ruleset string) error {
	flows, err := datapath.OpenFlows(old.ruleset)
	if err != nil {
		return fmt.Errorf("%w to open the flows of %s: %w", datapath.ErrPin, old.ruleset, err)
	}
	defer flows.Close()
	if err := datapath.CopyFlows(flows, ruleset, dev.Index); err != nil {
		return fmt.Errorf("%w the new programs: %w", datapath.ErrAttach, err)
	}
	if err := programs.Activate(uint32(dev.Index)); err != nil {
		return err
	}
	if err := programs.Replace(old.folder); err != nil {
		return err
	}
	// Those that the old programs made since.
	if err := datapath.CopyFlows(flows, ruleset, dev.Index); err != nil {
		return fmt.Errorf("%w the new programs: %w", datapath.ErrAttach, err)
	}
	return nil
}

// carry takes over what the old programs counted, once they run no more.
func carry(old attachment, wanted Wanted) error {
	datapath.Quiesce()
	carried, err := datapath.CarryCounters(old.folder, old.ruleset, wanted.Ruleset.Rules)
	if err != nil {
		return err
	}
	return datapath.Carry(old.folder, carried, wanted.ContainerRules)
}

// move hands the attachment's folder over to the new ruleset.
func (s *Store) move(key Key, old attachment, ruleset string) error {
	if err := publish(old.folder, filepath.Join(attachments(ruleset), key.path())); err != nil {
		return err
	}
	removeEmpty(filepath.Dir(old.folder), old.ruleset)
	return nil
}
