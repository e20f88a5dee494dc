package node

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// StateFolder is where xdp-port keeps its state.
const StateFolder = "/sys/fs/bpf/xdp-port"

// Snapshot is the list of all paths that xdp-port had pinned at some time.
type Snapshot []string

// State takes a snapshot.
func State() Snapshot {
	var paths Snapshot
	_ = filepath.WalkDir(StateFolder, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

// Unchanged returns an error that names new paths. It ignores missing ones, because
// other processes remove their own.
func (s Snapshot) Unchanged() error {
	var came []string
	for _, path := range State() {
		if !slices.Contains(s, path) {
			came = append(came, path)
		}
	}
	if len(came) > 0 {
		return fmt.Errorf("was not there before: %s", strings.Join(came, " "))
	}
	return nil
}

// Leftovers returns an error that names a namespace of this process.
func Leftovers() error {
	left, err := filepath.Glob(filepath.Join(namespaceDir, fmt.Sprintf("%s%d-*", namePrefix, os.Getpid())))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s is still there", left[0])
	}
	return err
}
