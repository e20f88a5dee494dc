package install

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// keepOriginal saves the file as it is without the entry of Add. A file with an entry
// but without an original has a foreign entry, which is a part of the original.
//
// The caller calls undo if it cannot write the entry.
func (f *file) keepOriginal() (undo func(), err error) {
	original := f.name + originalSuffix
	kept, _, err := readRegular(original)
	before := err == nil
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	case before && (f.hasEntry() || bytes.Equal(kept, f.text)):
		return func() {}, nil
	}
	if err := replaceFile(original, f.text, f.info); err != nil {
		return nil, err
	}
	return func() {
		now, err := readFile(f.name)
		switch {
		case err == nil && now.hasEntry() && !f.hasEntry(): // the entry is written after all
		case before:
			_ = replaceFile(original, kept, f.info)
		default:
			_ = removeFile(original)
		}
	}, nil
}

// Remove removes the entry of Add from all files. It restores a file byte for byte if the
// entry is the only difference in meaning. It returns the paths of the changed files,
// and continues after errors.
//
// The original of a missing file stays while another file names xdp-port: the missing
// file may have been renamed, and come back.
func (n Networks) Remove() (changed []string, err error) {
	return n.restore(func(string) bool { return true })
}

// IsAdded reports whether a conflist has the entry of Add.
func (n Networks) IsAdded() bool { return len(n.Originals()) > 0 }

// Originals returns the paths of the saved originals.
func (n Networks) Originals() (paths []string) {
	for _, folder := range append([]string{n.Folder}, subfolders(n.Folder)...) {
		entries, _ := os.ReadDir(folder) // an unreadable folder has no originals
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), originalSuffix) {
				paths = append(paths, filepath.Join(folder, entry.Name()))
			}
		}
	}
	return paths
}

func (n Networks) restore(which func(name string) bool) (changed []string, err error) {
	var errs []error
	var orphans []string
	for _, original := range n.Originals() {
		name := strings.TrimSuffix(original, originalSuffix)
		if !which(name) {
			continue
		}
		done := false
		err := retry(func() (err error) {
			done, err = restore(name, original)
			return err
		})
		switch {
		case errors.Is(err, os.ErrNotExist):
			orphans = append(orphans, original)
		case err != nil:
			errs = append(errs, fmt.Errorf("restore %s: %w", name, err))
		case done:
			changed = append(changed, name)
		}
	}
	return changed, errors.Join(append(errs, n.removeOrphans(orphans))...)
}

// removeOrphans removes the originals of missing files, unless a file may have been
// renamed: whoever removed a network does not want it back.
func (n Networks) removeOrphans(originals []string) error {
	if len(originals) == 0 {
		return nil
	}
	mentions, err := n.Mentions()
	if err != nil {
		return err
	}
	for _, path := range mentions {
		if _, err := os.Stat(path + originalSuffix); err != nil { // this may be the renamed file
			return nil
		}
	}
	var errs []error
	for _, original := range originals {
		errs = append(errs, removeFile(original))
	}
	return errors.Join(errs...)
}

// restore restores a file. Errors wrap os.ErrNotExist if the file does not exist.
func restore(name, original string) (changed bool, err error) {
	f, err := readFile(name)
	if err != nil {
		return false, err
	}
	kept, _, err := readRegular(original)
	if err != nil {
		return false, fmt.Errorf("read the original: %w", withoutNotExist(err))
	}
	if isOwn := (confedit.DropIn{Text: f.text}).IsEntry(); isOwn && len(kept) == 0 {
		return true, errors.Join(removeFile(f.path), removeFile(original))
	}
	text, err := f.before(kept)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(text, f.text) {
		changed = true
		if err := f.replace(text); err != nil {
			return false, err
		}
	}
	return changed, removeFile(original)
}

// withoutNotExist replaces the error of an original that has just disappeared, so that it
// does not look like a missing file.
func withoutNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return errMoved
	}
	return err
}

// before returns the text that the file has without Add.
func (f *file) before(kept []byte) ([]byte, error) {
	if (confedit.DropIn{Text: f.text}).IsEntry() {
		return kept, nil
	}
	if _, err := confedit.HasEntry(f.text); err != nil && len(kept) == 0 {
		return f.text, nil // a foreign drop-in has the name of the removed one
	}
	if same, err := confedit.WithSameEntry(kept, f.text); err == nil && same != nil && jsondoc.Equal(same, f.text) {
		return kept, nil
	}
	return confedit.WithoutEntry(f.text)
}
