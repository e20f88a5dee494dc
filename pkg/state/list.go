package state

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// Listed is an attachment and where it is kept.
type Listed struct {
	Key Key
	// Ruleset is the name of its ruleset, see datapath.Ruleset.Hash.
	Ruleset string
	// Folder has the attachment's links and record, RulesetFolder the programs
	// and maps.
	Folder, RulesetFolder string
}

// List returns all attachments, in the order of network, container and
// interface.
func (r *Reader) List() ([]Listed, error) { return r.store.list() }

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
	folders, err := reader.store.attachmentFolders()
	if err := errors.Join(err, reader.Close()); err != nil {
		return nil, err
	}
	return listFolders(folders), nil
}

func (s *Store) list() ([]Listed, error) {
	folders, err := s.attachmentFolders()
	return listFolders(folders), err
}

// attachmentFolders returns those of all attachments.
func (s *Store) attachmentFolders() (all []string, err error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	for _, ruleset := range rulesets {
		folders, _ := filepath.Glob(attachments(ruleset) + "/*/*/*") // the pattern is good
		all = append(all, folders...)
	}
	return all, nil
}

func listFolders(folders []string) []Listed {
	var list []Listed
	for _, folder := range folders {
		ruleset := folder
		for range 4 { // attachments/NETWORK/CONTAINER/INTERFACE
			ruleset = filepath.Dir(ruleset)
		}
		list = append(list, Listed{
			Key: keyOf(folder), Ruleset: filepath.Base(ruleset), Folder: folder, RulesetFolder: ruleset,
		})
	}
	slices.SortFunc(list, func(a, b Listed) int { return compareKeys(a.Key, b.Key) })
	return list
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Network, b.Network),
		cmp.Compare(a.Container, b.Container), cmp.Compare(a.Interface, b.Interface))
}

// keyOf returns the key of an attachment by its record, or by its path where
// that cannot be read. A path has only the beginning of a name that is too long
// for it.
func keyOf(folder string) Key {
	if record, err := datapath.ReadRecord(folder); err == nil {
		if key, err := decodeKey(record.Owner); err == nil {
			return key
		}
	}
	var names [3]string
	for i := range names {
		names[2-i] = filepath.Base(folder)
		if name, err := decodeName(names[2-i]); err == nil {
			names[2-i] = name
		}
		folder = filepath.Dir(folder)
	}
	return Key{Network: names[0], Container: names[1], Interface: names[2]}
}
