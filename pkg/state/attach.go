package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Wanted is what a container's interface is to get.
type Wanted struct {
	Ruleset *datapath.Ruleset
	Table   *rules.Table
	Hook    datapath.TCHook
}

// Attach brings the interface's host side under the rules. An attachment that
// is as wanted already stays untouched; another one of the same key is
// replaced. On an error nothing new is left.
//
// Returns an error wrapping datapath.ErrLoad, datapath.ErrAttach or
// *datapath.ForeignError where the kernel refuses.
func (s *Store) Attach(key Key, dev datapath.Device, wanted Wanted) error {
	hash := wanted.Ruleset.Hash(wanted.Table)
	existing, err := s.find(key)
	if err != nil {
		return err
	}
	for _, a := range existing {
		if a.ruleset == s.ruleset(hash) && a.serves(dev, wanted) {
			return nil
		}
	}
	if len(existing) == 1 && existing[0].ruleset != s.ruleset(hash) && existing[0].canBecome(dev, wanted) {
		return s.replace(key, existing[0], dev, hash, wanted)
	}
	for _, a := range existing {
		if err := s.remove(a); err != nil {
			return err
		}
	}
	programs, err := s.ensureRuleset(hash, wanted, "")
	if err != nil {
		return err
	}
	defer programs.Close()
	if err := s.attach(key, dev, hash, wanted, programs); err != nil {
		return errors.Join(err, s.prune(s.ruleset(hash)))
	}
	return nil
}

// attach builds the attachment aside and publishes it; only then the programs
// are told to heed the device. A process that dies on the way leaves a
// container wholly without rules.
func (s *Store) attach(key Key, dev datapath.Device, hash string, wanted Wanted, programs *datapath.Programs) error {
	building, err := s.temporary()
	if err != nil {
		return err
	}
	if err := programs.Attach(dev, wanted.Ruleset, wanted.Hook, building); err != nil {
		return errors.Join(err, os.Remove(building))
	}
	published := filepath.Join(attachments(s.ruleset(hash)), key.path())
	if err := publish(building, published); err != nil {
		return errors.Join(err, discard(building))
	}
	if err := programs.Activate(uint32(dev.Index)); err != nil {
		return errors.Join(err, s.retire(published))
	}
	return nil
}

// ensureRuleset opens the loaded ruleset, or loads it. replaced is the folder of
// the one that it is to replace, or empty.
func (s *Store) ensureRuleset(hash string, wanted Wanted, replaced string) (*datapath.Programs, error) {
	folder := s.ruleset(hash)
	programs, err := datapath.Open(folder, wanted.Ruleset.Hooks())
	if !errors.Is(err, os.ErrNotExist) {
		return programs, err
	}
	shared, err := s.shared(replaced)
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	programs, err = datapath.Load(wanted.Ruleset, wanted.Table, shared)
	if err != nil {
		return nil, err
	}
	if err := s.publishRuleset(folder, programs); err != nil {
		return nil, errors.Join(err, programs.Close())
	}
	return programs, nil
}

func (s *Store) publishRuleset(folder string, programs *datapath.Programs) error {
	building, err := s.temporary()
	if err != nil {
		return err
	}
	if err := programs.Pin(building); err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrBPFFS, err), discard(building))
	}
	if err := publish(building, folder); err != nil {
		return errors.Join(err, discard(building))
	}
	return nil
}
