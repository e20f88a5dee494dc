package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"
)

// ErrNoNetwork is the error of a node without a configured network.
var ErrNoNetwork = errors.New("no configured network")

// Networks is the folder with a node's network configurations.
type Networks struct {
	Folder string
	// File is the name of the conflist in Folder that gets the entry. Empty stands for the
	// conflist that the runtime uses for pods.
	File string
	// Runtime is the runtime that chooses if File is empty.
	Runtime Runtime
}

// Check returns an error if a name is wrong.
func (n Networks) Check() error {
	if n.File != "" && (filepath.Base(n.File) != n.File || n.File == "." || n.File == "..") {
		return fmt.Errorf("--conflist: %s is not the name of a file in %s", n.File, n.Folder)
	}
	if n.Runtime != "" && !slices.Contains(Runtimes, n.Runtime) {
		return fmt.Errorf("--runtime: %s is not a runtime: use %s, %s or %s", n.Runtime, AutoRuntime, Containerd, CRIO)
	}
	return nil
}

// extensions are the extensions of the files that runtimes read.
var extensions = []string{".conf", ".conflist", ".json"}

// Path returns the path of the conflist that gets the entry. Errors wrap ErrNoNetwork if
// there is none.
func (n Networks) Path() (string, error) {
	if err := n.Check(); err != nil {
		return "", err
	}
	if n.File != "" {
		return n.existing(filepath.Join(n.Folder, n.File))
	}
	// containerd and CRI-O search in the same way.
	files, err := libcni.ConfFiles(n.Folder, extensions)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%w in %s", ErrNoNetwork, n.Folder)
	}
	slices.Sort(files)
	return n.Runtime.podNetwork(files)
}

func (n Networks) existing(path string) (string, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: %s does not exist", ErrNoNetwork, path)
	}
	return path, err
}
