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
// under the old rules or the new ones; its flows come along. On an error the
// old programs are put back.
func (s *Store) replace(key Key, old attachment, dev datapath.Device, hash string, wanted Wanted) error {
	programs, err := s.ensureRuleset(hash, wanted, old.ruleset)
	if err != nil {
		return err
	}
	defer programs.Close()
	if err := s.exchange(old, dev, programs, s.ruleset(hash)); err != nil {
		return errors.Join(err,
			datapath.Restore(old.folder, old.ruleset),
			datapath.Deactivate(s.ruleset(hash), dev.Index),
			s.prune(s.ruleset(hash)))
	}
	if err := s.move(key, old, hash); err != nil {
		return err
	}
	if err := datapath.Deactivate(old.ruleset, dev.Index); err != nil {
		return err
	}
	return s.prune(old.ruleset)
}

func (s *Store) exchange(old attachment, dev datapath.Device, programs *datapath.Programs, ruleset string) error {
	flows, err := datapath.OpenFlows(old.ruleset)
	if err != nil {
		return fmt.Errorf("open the flows: %w", err)
	}
	defer flows.Close()
	if err := datapath.CopyFlows(flows, ruleset, dev.Index); err != nil {
		return err
	}
	if err := programs.Activate(uint32(dev.Index)); err != nil {
		return err
	}
	if err := programs.Replace(old.folder); err != nil {
		return err
	}
	// Those that the old programs made since.
	return datapath.CopyFlows(flows, ruleset, dev.Index)
}

// move hands the attachment's folder over to the new ruleset.
func (s *Store) move(key Key, old attachment, hash string) error {
	if err := publish(old.folder, filepath.Join(attachments(s.ruleset(hash)), key.path())); err != nil {
		return err
	}
	return removeEmpty(filepath.Dir(old.folder), old.ruleset)
}
