package install

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// programs are the plugin for the node's runtime and the tool for its operator.
var programs = []string{"xdp-port", "xdp-portctl"}

// Programs copies the programs from one folder into another, and returns the paths of
// those that differed. It replaces each in one step, even while it runs.
func Programs(from, to string) (changed []string, err error) {
	for _, name := range programs {
		source, target := filepath.Join(from, name), filepath.Join(to, name)
		copied, err := copyProgram(source, target)
		if err != nil {
			return changed, fmt.Errorf("install %s: %w", target, err)
		}
		if copied {
			changed = append(changed, target)
		}
	}
	return changed, nil
}

func copyProgram(source, target string) (copied bool, err error) {
	text, err := os.ReadFile(source)
	if err != nil {
		return false, err
	}
	if there, err := os.Stat(target); err == nil && there.Mode() == programMode {
		if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, text) {
			return false, nil
		}
	}
	return true, replaceFile(target, text, nil)
}

// Missing returns the paths of the programs that a folder lacks.
func Missing(folder string) (paths []string) {
	for _, name := range programs {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			paths = append(paths, path)
		}
	}
	return paths
}

// RemovePrograms removes the programs from a folder, and returns their paths.
func RemovePrograms(folder string) (removed []string, err error) {
	for _, name := range programs {
		path := filepath.Join(folder, name)
		switch err := os.Remove(path); {
		case err == nil:
			removed = append(removed, path)
		case !errors.Is(err, os.ErrNotExist):
			return removed, explain(err, path, folder)
		}
	}
	return removed, nil
}
