package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/confedit"
)

// ReadDropIns reads the drop-ins of a list, in the order of their names. See
// confedit.DropIn.
func ReadDropIns(list string, text []byte) ([]confedit.DropIn, error) {
	name := confedit.DropInFolder(text)
	if name == "" {
		return nil, nil
	}
	files, err := libcni.ConfFiles(filepath.Join(filepath.Dir(list), name), []string{".conf"})
	if err != nil {
		return nil, err
	}
	var dropIns []confedit.DropIn
	for _, file := range files {
		text, _, err := readRegular(file)
		if err != nil {
			return nil, err
		}
		dropIns = append(dropIns, confedit.DropIn{Path: file, Text: text})
	}
	return dropIns, nil
}

// newDropIn returns the path of a drop-in that comes after all others.
func newDropIn(last string) string {
	name := "99-xdp-port.conf"
	if base := filepath.Base(last); base > name {
		name = strings.TrimSuffix(base, ".conf") + "_xdp-port.conf"
	}
	return filepath.Join(filepath.Dir(last), name)
}

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

// subfolders returns the folders in a folder, which may contain drop-ins.
func subfolders(folder string) (paths []string) {
	entries, _ := os.ReadDir(folder) // an unreadable folder has no drop-ins
	for _, entry := range entries {
		if entry.IsDir() {
			paths = append(paths, filepath.Join(folder, entry.Name()))
		}
	}
	return paths
}
