package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// originalSuffix marks the file that a configuration was before xdp-port was
// added; an empty one marks that there was none. Runtimes read .conf, .conflist
// and .json alone.
const originalSuffix = ".xdp-port-original"

// file is a configuration, as it was read.
type file struct {
	name  string // where it was looked for
	path  string // where it is, symbolic links followed
	text  []byte
	info  fs.FileInfo
	isNew bool // it is not there yet; info is what it is to be like
}

func readFile(name string) (*file, error) {
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, path: path}
	f.text, f.info, err = readRegular(path)
	return f, err
}

// replace writes another text, unless the file is not as it was read any more.
func (f *file) replace(text []byte) error {
	now, _, err := readRegular(f.path)
	switch {
	case f.isNew && errors.Is(err, os.ErrNotExist):
	case f.isNew && err == nil:
		return fmt.Errorf("%s: %w", f.path, errMoved)
	case err != nil:
		return err
	case !bytes.Equal(now, f.text):
		return fmt.Errorf("%s: %w", f.path, errMoved)
	}
	return replaceFile(f.path, text, f.info)
}

// hasEntry tells whether the file has xdp-port: a list among its plugins, a
// drop-in as its one.
func (f *file) hasEntry() bool {
	if (config.DropIn{Text: f.text}).IsEntry() {
		return true
	}
	has, _ := config.HasEntry(f.text) // a list without plugins has none
	return has
}

// keepOriginal writes down what the file is without xdp-port. One that has an
// entry for which no original was kept had it from somebody else.
//
// undo is for when the entry could not be written.
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
		case err == nil && now.hasEntry() && !f.hasEntry(): // it was written after all
		case before:
			_ = replaceFile(original, kept, f.info)
		default:
			_ = removeFile(original)
		}
	}, nil
}

// Remove puts back all files that have the entry from Add: as they were, to the
// byte, if they still mean the same but for the entry, and else without it. It
// returns the paths of those that it changed, and goes on past what it cannot
// change.
//
// What was kept of a file that is not there any more stays as long as another
// one names xdp-port: it may have been renamed, and come back.
func (n Networks) Remove() (changed []string, err error) {
	return n.restore(func(string) bool { return true })
}

// IsAdded tells whether a conflist has the entry from Add.
func (n Networks) IsAdded() bool { return len(n.Originals()) > 0 }

// Originals returns the paths of what files were before the entry was added.
func (n Networks) Originals() (paths []string) {
	for _, folder := range append([]string{n.Folder}, subfolders(n.Folder)...) {
		entries, _ := os.ReadDir(folder) // what cannot be read has nothing for us
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
		err := insist(func() (err error) {
			done, err = restore(name, original)
			return err
		})
		switch {
		case errors.Is(err, os.ErrNotExist):
			orphans = append(orphans, original)
		case err != nil:
			errs = append(errs, fmt.Errorf("put %s back: %w", name, err))
		case done:
			changed = append(changed, name)
		}
	}
	return changed, errors.Join(append(errs, n.removeOrphans(orphans))...)
}

// removeOrphans removes originals of files that are gone: whoever removed a
// network does not want it back. But it may have been renamed.
func (n Networks) removeOrphans(originals []string) error {
	if len(originals) == 0 {
		return nil
	}
	mentions, err := n.Mentions()
	if err != nil {
		return err
	}
	for _, path := range mentions {
		if _, err := os.Stat(path + originalSuffix); err != nil { // it is nobody's that is known
			return nil
		}
	}
	var errs []error
	for _, original := range originals {
		errs = append(errs, removeFile(original))
	}
	return errors.Join(errs...)
}

// restore returns an error wrapping os.ErrNotExist if the file is gone.
func restore(name, original string) (changed bool, err error) {
	f, err := readFile(name)
	if err != nil {
		return false, err
	}
	kept, _, err := readRegular(original)
	if err != nil {
		return false, fmt.Errorf("read the original: %w", withoutNotExist(err))
	}
	if isOurs := (config.DropIn{Text: f.text}).IsEntry(); isOurs && len(kept) == 0 {
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

// withoutNotExist keeps an original that has just gone from looking like a file
// that has.
func withoutNotExist(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return errMoved
	}
	return err
}

// before is what the file would be had xdp-port never been added.
func (f *file) before(kept []byte) ([]byte, error) {
	if (config.DropIn{Text: f.text}).IsEntry() {
		return kept, nil
	}
	if _, err := config.HasEntry(f.text); err != nil && len(kept) == 0 {
		return f.text, nil // somebody else's drop-in has the name that ours had
	}
	if ours, err := config.WithSameEntry(kept, f.text); err == nil && ours != nil && config.SameJSON(ours, f.text) {
		return kept, nil
	}
	return config.WithoutEntry(f.text)
}
