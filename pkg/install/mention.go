package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// Mentions returns the files in the folder and in the folders of drop-ins that name
// xdp-port, whatever their names are.
//
// A file that another installer renamed, as Cilium does, may come back. An unreadable
// file counts as one that names xdp-port. Saved originals do not count.
func (n Networks) Mentions() (paths []string, err error) {
	for _, folder := range append([]string{n.Folder}, subfolders(n.Folder)...) {
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return paths, err
		}
		for _, entry := range entries {
			path := filepath.Join(folder, entry.Name())
			if !entry.IsDir() && !isOwnFile(entry.Name()) && mentions(path) {
				paths = append(paths, path)
			}
		}
	}
	return paths, nil
}

func mentions(path string) bool {
	text, _, err := readRegular(path)
	switch {
	case errors.Is(err, errNotRegular), errors.Is(err, os.ErrNotExist):
		return false
	case err != nil, bytes.Contains(text, []byte(`"`+config.PluginType+`"`)):
		return true
	}
	var value any
	return json.Unmarshal(text, &value) == nil && names(value)
}

// names reports whether a value in a document is xdp-port, in any spelling of JSON.
func names(value any) bool {
	switch v := value.(type) {
	case string:
		return v == config.PluginType
	case []any:
		for _, element := range v {
			if names(element) {
				return true
			}
		}
	case map[string]any:
		for _, member := range v {
			if names(member) {
				return true
			}
		}
	}
	return false
}
