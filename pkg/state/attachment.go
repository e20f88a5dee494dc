package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// attachment is a published attachment.
type published struct {
	ruleset datapath.Dir
	folder  attachment.Folder
}

func attachmentOf(ruleset datapath.Dir, key Key) published {
	return published{ruleset: ruleset, folder: attachment.Folder(filepath.Join(attachments(ruleset), key.path()))}
}

// find returns the attachments of a key: none or one, or more where a removal
// failed in the past.
func (s *Store) find(key Key) ([]published, error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	var found []published
	for _, ruleset := range rulesets {
		a := attachmentOf(ruleset, key)
		isThere, err := a.exists()
		if err != nil {
			return nil, err
		}
		if isThere {
			found = append(found, a)
		}
	}
	return found, nil
}

// IsAttached tells whether there is an attachment of a key.
func (s *Store) IsAttached(key Key) (bool, error) {
	found, err := s.find(key)
	return len(found) > 0, err
}

func (s *Store) listRulesets() ([]datapath.Dir, error) {
	entries, err := os.ReadDir(s.rulesets())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: list the rulesets: %w", bpffs.ErrUnusable, err)
	}
	var folders []datapath.Dir
	for _, entry := range entries {
		if entry.IsDir() { // else it is somebody else's
			folders = append(folders, s.ruleset(entry.Name()))
		}
	}
	return folders, nil
}

// shared opens the maps that a new ruleset is to share with those that are
// loaded: those common to all of any, and the flows of the one it replaces, if it does.
func (s *Store) shared(replaced datapath.Dir) (datapath.Shared, error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return datapath.Shared{}, err
	}
	shared, err := datapath.OpenShared(rulesets)
	if err != nil {
		return shared, err
	}
	if replaced != "" {
		if shared.Flows, err = replaced.OpenFlows(); err != nil {
			shared.Close()
			return datapath.Shared{}, err
		}
	}
	return shared, nil
}

// served tells whether one of the attachments is what is wanted already.
func served(existing []published, ruleset datapath.Dir, dev hook.Device, wanted Wanted) bool {
	return slices.ContainsFunc(existing, func(a published) bool {
		return a.ruleset == ruleset && a.serves(dev, wanted)
	})
}

// serves tells whether the attachment is already what is wanted of it on this
// device.
func (a published) serves(dev hook.Device, wanted Wanted) bool {
	return a.folder.Verify(a.ruleset, dev, wanted.Ruleset, wanted.Hook) == nil
}
