package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/confedit"
)

// file is a configuration as it was read.
type file struct {
	name  string // its path
	path  string // its path without symbolic links
	text  []byte
	info  fs.FileInfo
	isNew bool // it does not exist yet, and will get the owner and mode of info
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

// replace writes another text, unless the file has changed since it was read.
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

// hasEntry reports whether the file contains xdp-port: a list among its plugins, or a
// drop-in as its only plugin.
func (f *file) hasEntry() bool {
	if (confedit.DropIn{Text: f.text}).IsEntry() {
		return true
	}
	has, _ := confedit.HasEntry(f.text) // a list without plugins has no entry
	return has
}

// errMoved is the error of a file that another process writes at the same time.
var errMoved = errors.New("concurrent change by another process")
