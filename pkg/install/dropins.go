package install

import (
	"os"
	"path/filepath"
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
