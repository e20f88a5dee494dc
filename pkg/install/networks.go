package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// ErrNoNetwork is returned where no network is configured yet.
var ErrNoNetwork = errors.New("no network is configured")

// originalSuffix marks the file that a conflist was before xdp-port was added.
// Runtimes read .conf, .conflist and .json alone.
const originalSuffix = ".xdp-port-original"

// Networks is the folder with the node's network configurations.
type Networks struct {
	Folder string
	// File is the one to add xdp-port to; empty for the one that runtimes take for
	// the network of pods, the first by name.
	File string
}

// Path returns the conflist that xdp-port is to be added to. Returns an error
// wrapping ErrNoNetwork if there is none.
func (n Networks) Path() (string, error) {
	if n.File != "" {
		return n.existing(filepath.Join(n.Folder, n.File))
	}
	// As containerd and CRI-O look for it.
	files, err := libcni.ConfFiles(n.Folder, []string{".conf", ".conflist", ".json"})
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%w in %s", ErrNoNetwork, n.Folder)
	}
	slices.Sort(files)
	return files[0], nil
}

func (n Networks) existing(path string) (string, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: %s is not there", ErrNoNetwork, path)
	}
	return path, err
}

// conflist is a file, as it was read.
type conflist struct {
	path string // where it is, symbolic links followed
	text []byte
	info fs.FileInfo
}

func read(path string) (*conflist, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	c := &conflist{path: path}
	if c.info, err = os.Stat(path); err != nil {
		return nil, err
	}
	c.text, err = os.ReadFile(path)
	return c, err
}

// errMoved is returned when somebody else wrote the file meanwhile.
var errMoved = errors.New("somebody else is writing it")

// replace writes another text, unless the file is not as it was read any more.
func (c *conflist) replace(text []byte) error {
	now, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, c.text) {
		return fmt.Errorf("%s: %w", c.path, errMoved)
	}
	return replaceFile(c.path, text, c.info)
}

// attempts bounds how often a file is read anew because it was written meanwhile.
const attempts = 5

// insist tries again while others write.
func insist(try func() error) (err error) {
	for range attempts {
		if err = try(); !errors.Is(err, errMoved) {
			return err
		}
	}
	return err
}

// Add puts the entry into the conflist, behind its last plugin or in the place
// of the entry that is there, and changes nothing else in it. What the file was
// before is kept beside it. A conflist that had the entry while it was the first
// one, and is not any more, is put back.
//
// check is asked before the new text is written; its error stops that. Add
// returns an error wrapping ErrNoNetwork if there is no conflist.
func (n Networks) Add(entry []byte, check func(path string, text []byte) error) (path string, changed bool, err error) {
	if path, err = n.Path(); err != nil {
		return "", false, err
	}
	err = insist(func() error {
		changed, err = add(path, entry, check)
		return err
	})
	if err != nil {
		return path, false, fmt.Errorf("add xdp-port to %s: %w", path, err)
	}
	_, err = n.restore(func(other string) bool { return other != path })
	return path, changed, err
}

func add(path string, entry []byte, check func(string, []byte) error) (changed bool, err error) {
	c, err := read(path)
	if err != nil {
		return false, err
	}
	text, err := config.WithEntry(c.text, entry)
	if err != nil {
		return false, describe(path, err)
	}
	if err := check(path, text); err != nil {
		return false, err
	}
	if err := c.keepOriginal(path + originalSuffix); err != nil {
		return false, fmt.Errorf("keep the original: %w", err)
	}
	if bytes.Equal(text, c.text) {
		return false, nil
	}
	return true, c.replace(text)
}

// describe says what to do about a file that is no list.
func describe(path string, err error) error {
	if strings.HasSuffix(path, ".conflist") {
		return err
	}
	return fmt.Errorf("%w; only lists can have it: make it a .conflist with \"plugins\", or name another file", err)
}

// keepOriginal writes down what the conflist is without xdp-port. One that has
// an entry for which no original was kept had it from somebody else.
func (c *conflist) keepOriginal(original string) error {
	has, err := config.HasEntry(c.text)
	if err != nil {
		return err
	}
	kept, err := os.ReadFile(original)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case err == nil && (has || bytes.Equal(kept, c.text)):
		return nil
	}
	return replaceFile(original, c.text, c.info)
}

// Remove puts back all conflists that have the entry from Add: as they were, to
// the byte, if nobody changed them since, and else without the entry. It returns
// the paths of those that it changed, and goes on past what it cannot change.
func (n Networks) Remove() (changed []string, err error) {
	return n.restore(func(string) bool { return true })
}

// IsAdded tells whether a conflist has the entry from Add.
func (n Networks) IsAdded() bool { return len(n.originals()) > 0 }

func (n Networks) originals() []string {
	found, _ := filepath.Glob(filepath.Join(n.Folder, "*"+originalSuffix)) // the pattern is good
	return found
}

func (n Networks) restore(which func(path string) bool) (changed []string, err error) {
	var errs []error
	for _, original := range n.originals() {
		path := strings.TrimSuffix(original, originalSuffix)
		if !which(path) {
			continue
		}
		done := false
		err := insist(func() (err error) {
			done, err = restore(path, original)
			return err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("put %s back: %w", path, err))
		} else if done {
			changed = append(changed, path)
		}
	}
	return changed, errors.Join(errs...)
}

func restore(path, original string) (changed bool, err error) {
	c, err := read(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, removeFile(original) // whoever removed the network does not want it back
	}
	if err != nil {
		return false, err
	}
	text, err := c.before(original)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(text, c.text) {
		changed = true
		if err := c.replace(text); err != nil {
			return false, err
		}
	}
	return changed, removeFile(original)
}

// before is what the conflist would be had xdp-port never been added.
func (c *conflist) before(original string) ([]byte, error) {
	kept, err := os.ReadFile(original)
	if err != nil {
		return nil, err
	}
	if ours, err := config.WithSameEntry(kept, c.text); err == nil && bytes.Equal(ours, c.text) {
		return kept, nil
	}
	return config.WithoutEntry(c.text)
}

// Mentioned tells whether a configuration in the folder still names xdp-port.
// What cannot be read is taken to do so.
func (n Networks) Mentioned() (bool, error) {
	files, err := libcni.ConfFiles(n.Folder, []string{".conf", ".conflist", ".json"})
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || bytes.Contains(text, []byte(`"`+config.PluginType+`"`)) {
			return true, nil
		}
	}
	return false, err
}
