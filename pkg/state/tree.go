// Package state keeps the state of xdp-port, all of it in bpffs:
//
//	/sys/fs/bpf/xdp-port/
//	  rulesets/<hash>/                               a loaded ruleset:
//	    from_container ... rules, flows, counters    its programs and maps
//	    description                                  the rules and settings
//	    attachments/<network>/<container>/<ifname>/  its attachments:
//	      record, xdp, tc_ingress, tc_egress         the record and the links
//	    claims/[<key>-]<pid>-<n>/                    pending attachments: being made
//	                                                 (with key) or removed
//	  tmp/<pid>-<n>/                                 rulesets being made or removed
//
// A Reader holds a shared lock on the state folder, and a Transaction an exclusive
// one. Everything is built in a pending or temporary folder and published with one
// rename, and it is renamed away before it is removed. So a killed process leaves the
// old state or the new one, and folders that the next Transaction recovers or
// removes.
//
// A Transaction releases the lock while the kernel loads, attaches or detaches
// programs, which takes long. A pending folder has a lock of its own and keeps its
// ruleset. A pending folder without that lock belongs to a dead process.
package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// This file alone knows the layout of the tree.

// tree is the state folder.
type tree struct{ root string }

// ruleset is a loaded ruleset, or one that is being loaded.
type ruleset struct{ datapath.Dir }

// entry is the folder of an attachment, published or pending, and its ruleset.
type entry struct {
	attachment.Folder
	ruleset ruleset
}

// keyLevels is the number of folders that a key's path has.
const keyLevels = 3

func (t tree) temporaryFolder() string { return filepath.Join(t.root, "tmp") }
func (t tree) rulesetsFolder() string  { return filepath.Join(t.root, "rulesets") }
func (t tree) ruleset(name string) ruleset {
	return ruleset{datapath.Dir(filepath.Join(t.rulesetsFolder(), name))}
}

func (r ruleset) attachmentsFolder() string { return filepath.Join(r.path(), "attachments") }
func (r ruleset) pendingFolder() string     { return filepath.Join(r.path(), "claims") }

// attachment returns the attachment of a key, which may not exist.
func (r ruleset) attachment(key Key) entry {
	return r.entryAt(filepath.Join(r.attachmentsFolder(), key.path()))
}

func (r ruleset) entryAt(path string) entry { return entry{attachment.Folder(path), r} }

func (r ruleset) path() string { return string(r.Dir) }
func (a entry) path() string   { return string(a.Folder) }

// keyPath returns the path below the attachments of the ruleset.
func (a entry) keyPath() string {
	path, _ := filepath.Rel(a.ruleset.attachmentsFolder(), a.path())
	return path
}

// key returns the key in the attachment's record, or the key in its path if the record
// cannot be read. A path contains only the beginning of a long name.
func (a entry) key() Key {
	if record, _ := a.Record(); record != nil {
		if key, err := decodeKey(record.Owner); err == nil {
			return key
		}
	}
	var names [keyLevels]string
	folder := a.path()
	for i := range names {
		names[keyLevels-1-i] = filepath.Base(folder)
		if name, err := decodeName(names[keyLevels-1-i]); err == nil {
			names[keyLevels-1-i] = name
		}
		folder = filepath.Dir(folder)
	}
	return Key{Network: names[0], Container: names[1], Interface: names[2]}
}

// exists reports whether the attachment is there. A file in its place is foreign.
func (a entry) exists() (bool, error) {
	info, err := os.Lstat(a.path())
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: find an attachment: %w", bpffs.ErrUnusable, err)
	}
	return info.IsDir(), nil
}

// rulesets returns all rulesets.
func (t tree) rulesets() ([]ruleset, error) {
	folders, err := bpffs.Folders(t.rulesetsFolder(), 1)
	if err != nil {
		return nil, fmt.Errorf("%w: list the rulesets: %w", bpffs.ErrUnusable, err)
	}
	rulesets := make([]ruleset, len(folders))
	for i, folder := range folders {
		rulesets[i] = ruleset{datapath.Dir(folder)}
	}
	return rulesets, nil
}

// attachments returns all published attachments.
func (t tree) attachments() (all []entry, err error) {
	rulesets, err := t.rulesets()
	if err != nil {
		return nil, err
	}
	for _, r := range rulesets {
		published, err := r.attachments()
		if err != nil {
			return nil, err
		}
		all = append(all, published...)
	}
	return all, nil
}

// attachments returns the published attachments of the ruleset.
func (r ruleset) attachments() ([]entry, error) {
	folders, err := bpffs.Folders(r.attachmentsFolder(), keyLevels)
	if err != nil {
		return nil, fmt.Errorf("%w: list the attachments: %w", bpffs.ErrUnusable, err)
	}
	return r.attachmentsAt(folders), nil
}

// pending returns the pending attachments of the ruleset. What cannot be read
// contains none.
func (r ruleset) pending() []entry {
	folders, _ := bpffs.Folders(r.pendingFolder(), 1)
	return r.attachmentsAt(folders)
}

func (r ruleset) attachmentsAt(folders []string) []entry {
	attachments := make([]entry, len(folders))
	for i, folder := range folders {
		attachments[i] = r.entryAt(folder)
	}
	return attachments
}

// pending returns all pending attachments.
func (t tree) pending() (all []entry, err error) {
	rulesets, err := t.rulesets()
	for _, r := range rulesets {
		all = append(all, r.pending()...)
	}
	return all, err
}

// find returns the attachments of a key: none or one, or several after a failed
// removal.
func (t tree) find(key Key) ([]entry, error) {
	rulesets, err := t.rulesets()
	if err != nil {
		return nil, err
	}
	var found []entry
	for _, r := range rulesets {
		a := r.attachment(key)
		exists, err := a.exists()
		if err != nil {
			return nil, err
		}
		if exists {
			found = append(found, a)
		}
	}
	return found, nil
}

// isUsed reports whether the ruleset has attachments, published or pending. It removes
// their folders if these are empty.
func (r ruleset) isUsed() (bool, error) {
	if used, err := bpffs.HasFolder(r.pendingFolder(), 1); used || err != nil {
		return used, err
	}
	return bpffs.HasFolder(r.attachmentsFolder(), keyLevels)
}

// removeEmptyParents removes the parents of an attachment's folder, as far as they are
// empty.
func (a entry) removeEmptyParents() { bpffs.RemoveEmpty(filepath.Dir(a.path()), a.ruleset.path()) }

// publish renames a folder to its place.
func publish(folder, place string) error {
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		return fmt.Errorf("%w: make a folder: %w", bpffs.ErrUnusable, err)
	}
	if err := os.Rename(folder, place); err != nil {
		return fmt.Errorf("%w: publish: %w", bpffs.ErrUnusable, err)
	}
	return nil
}

// discard removes an unpublished folder, of an attachment or a ruleset. It keeps
// folders that contain foreign files.
func discard(folder string) error {
	if err := attachment.Folder(folder).Detach(); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	if err := datapath.Dir(folder).Unpin(); err != nil {
		return fmt.Errorf("%w: remove %s: %w", bpffs.ErrUnusable, folder, err)
	}
	bpffs.RemoveEmptyIn(folder)
	err := unix.Rmdir(folder)
	if err == nil || errors.Is(err, os.ErrNotExist) || isNotEmpty(err) && hasFolders(folder) {
		return nil
	}
	return fmt.Errorf("%w: remove %s: %w", bpffs.ErrUnusable, folder, err)
}

func hasFolders(folder string) bool {
	children, _ := bpffs.Folders(folder, 1)
	return len(children) > 0
}

func isNotEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) }
