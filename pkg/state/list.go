package state

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// Listed is an attachment and where it is kept.
type Listed struct {
	Key Key
	// Ruleset is the name of its ruleset, see datapath.Ruleset.Hash.
	Ruleset string
	// Folder has the attachment's links and record, RulesetFolder the programs
	// and maps.
	Folder        attachment.Folder
	RulesetFolder datapath.Dir
	// Interrupted tells that nothing is attached: a change of mode, tc hook or device
	// was killed half-way, and the next change of anything will put back what was
	// there. Folder has what is known of it, see attachment.Folder.Kept.
	Interrupted bool
}

// List returns all attachments, in the order of network, container and
// interface, and what should be one.
func (r *Reader) List() ([]Listed, error) {
	found, err := r.store.look()
	return found.listed(), err
}

// Snapshot returns what Reader.List does, of an instant in which nobody changed
// anything. It holds the lock for no longer than it takes to list folders, however
// many there are to be read: what is listed may be gone, or under another ruleset,
// when somebody looks at it.
//
// Returns an error wrapping os.ErrNotExist if there is no state.
func Snapshot() ([]Listed, error) {
	reader, err := OpenForReading()
	if err != nil {
		return nil, err
	}
	found, err := reader.store.look()
	if err := errors.Join(err, reader.Close()); err != nil {
		return nil, err
	}
	return found.listed(), nil
}

// glance is what there is at some time.
type glance struct {
	folders       []attachment.Folder
	interruptions []interrupted
}

func (s *Store) look() (found glance, err error) {
	if found.folders, err = s.attachmentFolders(); err != nil {
		return found, err
	}
	found.interruptions, err = s.interruptions()
	return found, err
}

func (g glance) listed() []Listed {
	list := listFolders(g.folders)
	for _, i := range g.interruptions {
		list = append(list, Listed{
			Key: i.key, Ruleset: i.ruleset.Name(), Folder: i.folder, RulesetFolder: i.ruleset, Interrupted: true,
		})
	}
	slices.SortStableFunc(list, func(a, b Listed) int { return compareKeys(a.Key, b.Key) })
	return list
}

func (s *Store) list() ([]Listed, error) {
	folders, err := s.attachmentFolders()
	return listFolders(folders), err
}

// attachmentFolders returns those of all attachments.
func (s *Store) attachmentFolders() (all []attachment.Folder, err error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	for _, ruleset := range rulesets {
		folders, err := publishedIn(ruleset)
		if err != nil {
			return nil, err
		}
		all = append(all, folders...)
	}
	return all, nil
}

func listFolders(folders []attachment.Folder) []Listed {
	var list []Listed
	for _, folder := range folders {
		ruleset := rulesetOf(folder)
		list = append(list, Listed{
			Key: keyOf(folder), Ruleset: ruleset.Name(), Folder: folder, RulesetFolder: ruleset,
		})
	}
	slices.SortFunc(list, func(a, b Listed) int { return compareKeys(a.Key, b.Key) })
	return list
}

// rulesetOf returns the ruleset of an attachment, which lies in it at
// attachments/NETWORK/CONTAINER/INTERFACE.
func rulesetOf(folder attachment.Folder) datapath.Dir {
	path := string(folder)
	for range 4 {
		path = filepath.Dir(path)
	}
	return datapath.Dir(path)
}

// publishedIn returns the folders of a ruleset's attachments. What is no folder is
// none of ours.
func publishedIn(ruleset datapath.Dir) (found []attachment.Folder, err error) {
	folders := []string{attachments(ruleset)}
	for range 3 {
		var below []string
		for _, folder := range folders {
			entries, err := os.ReadDir(folder)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("%w: list the attachments: %w", bpffs.ErrUnusable, err)
			}
			for _, entry := range entries {
				if entry.IsDir() {
					below = append(below, filepath.Join(folder, entry.Name()))
				}
			}
		}
		folders = below
	}
	for _, folder := range folders {
		found = append(found, attachment.Folder(folder))
	}
	return found, nil
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Network, b.Network),
		cmp.Compare(a.Container, b.Container), cmp.Compare(a.Interface, b.Interface))
}

// keyOf returns the key of an attachment by its record, or by its path where
// that cannot be read. A path has only the beginning of a name that is too long
// for it.
func keyOf(folder attachment.Folder) Key {
	if record, err := folder.Record(); err == nil {
		if key, err := decodeKey(record.Owner); err == nil {
			return key
		}
	}
	var names [3]string
	path := string(folder)
	for i := range names {
		names[2-i] = filepath.Base(path)
		if name, err := decodeName(names[2-i]); err == nil {
			names[2-i] = name
		}
		path = filepath.Dir(path)
	}
	return Key{Network: names[0], Container: names[1], Interface: names[2]}
}
