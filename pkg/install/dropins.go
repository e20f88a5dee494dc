package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// ReadDropIns reads the plugins that libcni 1.3 and later puts behind those in a
// list: the files NAME/*.conf beside it, in the order of their names.
func ReadDropIns(list string, text []byte) ([]config.DropIn, error) {
	name := config.DropInFolder(text)
	if name == "" {
		return nil, nil
	}
	files, err := libcni.ConfFiles(filepath.Join(filepath.Dir(list), name), []string{".conf"})
	if err != nil {
		return nil, err
	}
	var dropIns []config.DropIn
	for _, file := range files {
		text, _, err := readRegular(file)
		if err != nil {
			return nil, err
		}
		dropIns = append(dropIns, config.DropIn{Path: file, Text: text})
	}
	return dropIns, nil
}

// newDropIn is where a drop-in goes that comes behind all others.
func newDropIn(last string) string {
	name := "99-xdp-port.conf"
	if base := filepath.Base(last); base > name {
		name = strings.TrimSuffix(base, ".conf") + "_xdp-port.conf"
	}
	return filepath.Join(filepath.Dir(last), name)
}

// edit is what brings xdp-port's entry into a network: another text of one file.
type edit struct {
	*file
	text []byte
	// network is the whole list as runtimes make it, with that.
	network config.Inlined
}

// planEdit finds where the entry is to go: in the place of the one that is there,
// in the list or in a drop-in; else behind the plugins in the list, which all
// versions of libcni read; else, where all plugins are drop-ins, behind those.
func planEdit(path string, entry []byte) (*edit, error) {
	list, err := readFile(path)
	if err != nil {
		return nil, err
	}
	dropIns, err := ReadDropIns(path, list.text)
	if err != nil {
		return nil, err
	}
	has, problem := config.HasEntry(list.text)
	theirs := len(dropIns) - 1
	for theirs >= 0 && !dropIns[theirs].IsEntry() {
		theirs--
	}
	switch {
	case !has && theirs >= 0:
		return editDropIn(list, dropIns, theirs, entry)
	case problem != nil && len(dropIns) > 0:
		last := config.DropIn{Path: newDropIn(dropIns[len(dropIns)-1].Path)}
		return editDropIn(list, append(dropIns, last), len(dropIns), entry)
	}
	text, err := config.WithEntry(list.text, entry)
	if err != nil {
		return nil, describe(path, err)
	}
	return &edit{list, text, config.Inline(text, dropIns)}, nil
}

func editDropIn(list *file, dropIns []config.DropIn, index int, entry []byte) (*edit, error) {
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
	return &edit{f, dropIn.Text, config.Inline(list.text, dropIns)}, nil
}

// subfolders returns the folders in a folder, which may have drop-ins.
func subfolders(folder string) (paths []string) {
	entries, _ := os.ReadDir(folder) // what cannot be read has nothing for us
	for _, entry := range entries {
		if entry.IsDir() {
			paths = append(paths, filepath.Join(folder, entry.Name()))
		}
	}
	return paths
}
