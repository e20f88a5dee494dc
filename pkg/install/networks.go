package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
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

// errMoved is the error of a file that another process writes at the same time.
var errMoved = errors.New("concurrent change by another process")

// attempts bounds how often a file is read, and pause is the time between two attempts.
const (
	attempts = 5
	pause    = 50 * time.Millisecond
)

// retry tries again while another process writes a file. A file that is not JSON may be
// half-written.
func retry(try func() error) (err error) {
	for i := range attempts {
		if i > 0 {
			time.Sleep(pause)
		}
		if err = try(); !errors.Is(err, errMoved) && !isUnreadable(err) {
			return err
		}
	}
	return err
}

func isUnreadable(err error) bool {
	var malformed *jsondoc.Error
	var invalid *config.Error
	return errors.As(err, &malformed) || errors.As(err, &invalid) || errors.Is(err, errUnusable)
}

// Desired returns the network that Add would make, and changes nothing. Errors wrap
// ErrNoNetwork if there is no conflist.
func (n Networks) Desired(entry []byte) (path string, network []byte, err error) {
	err = retry(func() error {
		if path, err = n.Path(); err != nil {
			return err
		}
		planned, err := planEdit(path, entry)
		if err != nil {
			return err
		}
		network = planned.network.Text
		return nil
	})
	return path, network, err
}

// Add adds the entry to the conflist, after its last plugin or in place of the present
// entry. It changes nothing else. An entry with the same meaning keeps its spelling,
// because other installers reformat the file.
//
// Add saves the original beside the file. It restores a conflist that got the entry earlier
// and is not the runtime's choice any more. It calls check with the whole network as
// runtimes will read it, and writes nothing if check returns an error.
//
// It returns the path of the file with the entry, which may be a drop-in. Errors wrap
// ErrNoNetwork if there is no conflist.
func (n Networks) Add(entry []byte, check func(path string, network confedit.Inlined) error) (path string, changed bool, err error) {
	added := ""
	err = retry(func() error {
		if path, err = n.Path(); err != nil {
			return err
		}
		added, changed, err = add(path, entry, check)
		if err != nil {
			err = fmt.Errorf("add xdp-port to %s: %w", path, err)
		}
		return err
	})
	if err != nil {
		return path, false, err
	}
	_, err = n.restore(func(other string) bool { return other != added })
	return added, changed, err
}

// add returns the file that contains the entry.
func add(path string, entry []byte, check func(string, confedit.Inlined) error) (name string, changed bool, err error) {
	planned, err := planEdit(path, entry)
	if err != nil {
		return "", false, err
	}
	if err := check(path, planned.network); err != nil {
		return "", false, err
	}
	undo, err := planned.keepOriginal()
	if err != nil {
		return "", false, fmt.Errorf("keep the original: %w", err)
	}
	if jsondoc.Equal(planned.text, planned.file.text) {
		return planned.name, false, nil
	}
	if err := planned.replace(planned.text); err != nil {
		undo()
		return "", false, err
	}
	return planned.name, true, nil
}

// describe adds the fix for a file that is not a list.
func describe(path string, err error) error {
	if filepath.Ext(path) == ".conflist" {
		return err
	}
	return fmt.Errorf("%w; only lists can have it: make it a .conflist with \"plugins\", or name another file", err)
}
