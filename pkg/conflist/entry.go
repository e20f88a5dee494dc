package conflist

import (
	"context"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// EntryFile is a file that contains only xdp-port's entry of a conflist.
type EntryFile struct {
	Path string
	Text []byte
}

// ReadEntry reads the file and does not check it.
func ReadEntry(ctx context.Context, path string) (EntryFile, error) {
	text, err := readFile(ctx, path)
	return EntryFile{path, text}, err
}

// Check returns an error with a line for each error in the entry.
func (f EntryFile) Check() error {
	_, err := config.ParseEntry(f.Text)
	return f.conflist().Located(err)
}

// Warnings describes the keys of the entry that have no effect.
func (f EntryFile) Warnings() []string {
	entry, err := config.ParseEntry(f.Text)
	if err != nil || len(entry.Overwritten) == 0 {
		return nil
	}
	return f.conflist().Lines("warning", &config.Error{Problems: entry.Overwritten})
}

// conflist returns a Conflist that describes errors in this file.
func (f EntryFile) conflist() *Conflist { return &Conflist{Path: f.Path} }
