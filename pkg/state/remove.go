package state

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// Detach removes the attachments of a key, and each ruleset that nobody uses
// any more. There need not be any. One that is in the making meanwhile does not
// come to be.
func (s *Store) Detach(key Key) error {
	if err := s.revoke(key); err != nil {
		return err
	}
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
// device alone, so that it is wholly without rules from one moment on. Others
// need not wait while the kernel takes them off.
func (s *Store) remove(a attachment) error {
	if s.lock == nil {
		return ErrBusy
	}
	if err := s.deactivate(a); err != nil {
		return err
	}
	claim, err := s.claimPublished(a)
	if err != nil {
		return err
	}
	removeEmpty(filepath.Dir(a.folder), a.ruleset)
	var discarded error
	err = s.unlocked(func() error {
		if discarded = s.detachNow(claim); discarded == nil {
			discarded = claim.discard()
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil // without the claim, whoever left last took the folder along
	}
	s.prune(a.ruleset)
	return errors.Join(discarded, err)
}

// detachNow takes tc programs off at once where the same container is attached
// anew.
func (s *Store) detachNow(c *claim) error {
	if !s.insist {
		return nil
	}
	err := datapath.DetachTCX(c.folder)
	if err != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}

// deactivate does nothing if the device's index has been given to another
// container of the ruleset since.
func (s *Store) deactivate(a attachment) error {
	record, err := datapath.ReadRecord(a.folder)
	if err != nil {
		return nil //nolint:nilerr // without a record there is no index
	}
	if exists, _ := record.Device.Exists(); !exists && s.indexReused(a, record) {
		return nil
	}
	return datapath.Deactivate(a.ruleset, record.Device.Index)
}

// indexReused looks for a later attachment with the same index, which only one
// whose device is gone can have.
func (s *Store) indexReused(a attachment, record *datapath.Record) bool {
	return s.newest(a.ruleset)[record.Device.Index].After(record.AttachedAt)
}

// newest returns, by index of the device, when the last attachment of a ruleset
// was made. It is read once while the lock is held.
func (s *Store) newest(ruleset string) map[int]time.Time {
	if known, ok := s.newestAt[ruleset]; ok {
		return known
	}
	newest := map[int]time.Time{}
	folders, _ := filepath.Glob(attachments(ruleset) + "/*/*/*") // the pattern is good
	for _, folder := range folders {
		if record, err := datapath.ReadRecord(folder); err == nil && record.AttachedAt.After(newest[record.Device.Index]) {
			newest[record.Device.Index] = record.AttachedAt
		}
	}
	if s.newestAt == nil {
		s.newestAt = map[string]map[int]time.Time{}
	}
	s.newestAt[ruleset] = newest
	return newest
}
