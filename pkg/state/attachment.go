package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// attachment is a published attachment.
type attachment struct {
	ruleset string // its folder
	folder  string
}

// find returns the attachments of a key: none or one, or more where a removal
// failed in the past.
func (s *Store) find(key Key) ([]attachment, error) {
	path, err := key.path()
	if err != nil {
		return nil, err
	}
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	var found []attachment
	for _, ruleset := range rulesets {
		folder := filepath.Join(attachments(ruleset), path)
		if _, err := os.Stat(folder); err == nil {
			found = append(found, attachment{ruleset: ruleset, folder: folder})
		}
	}
	return found, nil
}

func (s *Store) listRulesets() ([]string, error) {
	entries, err := os.ReadDir(s.rulesets())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the rulesets: %w", err)
	}
	folders := make([]string, len(entries))
	for i, entry := range entries {
		folders[i] = s.ruleset(entry.Name())
	}
	return folders, nil
}

// sharedNotes opens the map that all loaded rulesets share, or returns nil.
func (s *Store) sharedNotes() (*ebpf.Map, error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	for _, ruleset := range rulesets {
		notes, err := datapath.OpenNotes(ruleset)
		if !errors.Is(err, os.ErrNotExist) {
			return notes, err
		}
	}
	return nil, nil
}

// serves tells whether the attachment is already what is wanted of it on this
// device.
func (a attachment) serves(dev datapath.Device, wanted Wanted) bool {
	return datapath.Verify(a.folder, a.ruleset, dev, wanted.Ruleset, wanted.Hook) == nil
}
