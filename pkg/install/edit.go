package install

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/confedit"
)

// edit is the change of one file that adds the entry to a network.
type edit struct {
	*file
	text []byte
	// network is the whole list with the entry, as runtimes read it.
	network confedit.Inlined
}

// planEdit finds the place of the entry.
//
// It replaces the present entry, in the list or in a drop-in. Otherwise the entry follows
// the plugins in the list, which all versions of libcni read. If all plugins are in
// drop-ins, the entry becomes the last drop-in.
func planEdit(path string, entry []byte) (*edit, error) {
	list, err := readFile(path)
	if err != nil {
		return nil, err
	}
	dropIns, err := ReadDropIns(path, list.text)
	if err != nil {
		return nil, err
	}
	has, problem := confedit.HasEntry(list.text)
	theirs := len(dropIns) - 1
	for theirs >= 0 && !dropIns[theirs].IsEntry() {
		theirs--
	}
	switch {
	case !has && theirs >= 0:
		return editDropIn(list, dropIns, theirs, entry)
	case problem != nil && len(dropIns) > 0:
		last := confedit.DropIn{Path: newDropIn(dropIns[len(dropIns)-1].Path)}
		return editDropIn(list, append(dropIns, last), len(dropIns), entry)
	}
	text, err := confedit.WithEntry(list.text, entry)
	if err != nil {
		return nil, describe(path, err)
	}
	return &edit{list, text, confedit.Inline(text, dropIns)}, nil
}

func editDropIn(list *file, dropIns []confedit.DropIn, index int, entry []byte) (*edit, error) {
	dropIn, err := dropIns[index].WithText(entry)
	if err != nil {
		return nil, err
	}
	f := &file{name: dropIn.Path, path: dropIn.Path, info: list.info, isNew: true}
	if len(dropIns[index].Text) > 0 {
		if f, err = readFile(dropIn.Path); err != nil {
			return nil, err
		}
	}
	dropIns = slices.Clone(dropIns)
	dropIns[index] = dropIn
	return &edit{f, dropIn.Text, confedit.Inline(list.text, dropIns)}, nil
}

// describe adds the fix for a file that is not a list.
func describe(path string, err error) error {
	if filepath.Ext(path) == ".conflist" {
		return err
	}
	return fmt.Errorf("%w; only a conflist can contain xdp-port: make it a .conflist with \"plugins\", or name another file", err)
}
