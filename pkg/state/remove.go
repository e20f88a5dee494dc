package state

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// Detach removes the attachments of a key, and each ruleset that nobody uses
// any more. There need not be any.
func (s *Store) Detach(key Key) error {
	found, err := s.find(key)
	if err != nil {
		return err
	}
	for _, attachment := range found {
		err = errors.Join(err, s.remove(attachment))
	}
	return err
}

// remove takes an attachment away: first the programs are told to leave the
// device alone, so that it is wholly without rules from one moment on.
func (s *Store) remove(a attachment) error {
	if err := s.deactivate(a); err != nil {
		return err
	}
	if err := s.retire(a.folder); err != nil {
		return err
	}
	if err := removeEmpty(filepath.Dir(a.folder), a.ruleset); err != nil {
		return err
	}
	return s.prune(a.ruleset)
}

// deactivate does nothing if the device's index has been given to another
// container of the ruleset since.
func (s *Store) deactivate(a attachment) error {
	record, err := datapath.ReadRecord(a.folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if reused, err := s.indexReused(a, record); reused || err != nil {
		return err
	}
	return datapath.Deactivate(a.ruleset, record.Device.Index)
}

// indexReused looks for another attachment with the same index, which is only
// possible where the device is gone.
func (s *Store) indexReused(a attachment, record *datapath.Record) (bool, error) {
	if record.Device.Exists() {
		return false, nil
	}
	others, err := filepath.Glob(attachments(a.ruleset) + "/*/*/*")
	if err != nil {
		return false, err
	}
	for _, folder := range others {
		other, err := datapath.ReadRecord(folder)
		if err != nil || folder == a.folder {
			continue
		}
		if other.Device.Index == record.Device.Index && other.Device.Exists() {
			return true, nil
		}
	}
	return false, nil
}

// prune removes the ruleset if nobody uses it.
func (s *Store) prune(ruleset string) error {
	if _, err := os.Stat(attachments(ruleset)); err == nil {
		return nil
	}
	if _, err := os.Stat(ruleset); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return s.retire(ruleset)
}
