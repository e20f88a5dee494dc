package install

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// ErrNoNetwork is returned where no network is configured yet.
var ErrNoNetwork = errors.New("no network is configured")

// Networks is the folder with the node's network configurations.
type Networks struct {
	Folder string
	// File is the one to add xdp-port to, a name in Folder; empty for the one that
	// the runtime takes for the network of pods.
	File string
	// Runtime is whose choice counts where File is empty.
	Runtime Runtime
}

// Check returns what is wrong with the names.
func (n Networks) Check() error {
	if n.File != "" && (filepath.Base(n.File) != n.File || n.File == "." || n.File == "..") {
		return fmt.Errorf("--conflist: %s is not the name of a file in %s", n.File, n.Folder)
	}
	if n.Runtime != "" && !slices.Contains(Runtimes, n.Runtime) {
		return fmt.Errorf("--runtime: %s is no runtime: there is %s, %s and %s", n.Runtime, AutoRuntime, Containerd, CRIO)
	}
	return nil
}

// extensions are those of the files that runtimes read.
var extensions = []string{".conf", ".conflist", ".json"}

// Path returns the conflist that xdp-port is to be added to. Returns an error
// wrapping ErrNoNetwork if there is none.
func (n Networks) Path() (string, error) {
	if err := n.Check(); err != nil {
		return "", err
	}
	if n.File != "" {
		return n.existing(filepath.Join(n.Folder, n.File))
	}
	// As containerd and CRI-O look for it.
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
		return "", fmt.Errorf("%w: %s is not there", ErrNoNetwork, path)
	}
	return path, err
}

// errMoved is returned when somebody else wrote the file meanwhile.
var errMoved = errors.New("somebody else is writing it")

// attempts bounds how often a file is read again because it was written
// meanwhile, pause how soon.
const (
	attempts = 5
	pause    = 50 * time.Millisecond
)

// insist tries again while others write: a file that was written meanwhile, and
// one that cannot be read as JSON, since it may be half there.
func insist(try func() error) (err error) {
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
	var mistakes *config.Error
	return errors.As(err, &mistakes) || errors.Is(err, errUnusable)
}

// Desired returns the network with the entry as Add would have it, and changes
// nothing. Returns an error wrapping ErrNoNetwork if there is no conflist.
func (n Networks) Desired(entry []byte) (path string, network []byte, err error) {
	err = insist(func() error {
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

// Add puts the entry into the conflist, behind its last plugin or in the place
// of the entry that is there, and changes nothing else in it. An entry that means
// the same already is left as it is spelled: other installers reformat what they
// find. What the file was before is kept beside it. A conflist that had the entry
// while it was the first one, and is not any more, is put back.
//
// check is asked before the new text is written, about the whole network as
// runtimes will read it; its error stops that. Add returns the path of the file
// that has the entry, which may be a drop-in, and an error wrapping ErrNoNetwork if
// there is no conflist.
func (n Networks) Add(entry []byte, check func(path string, network config.Inlined) error) (path string, changed bool, err error) {
	added := ""
	err = insist(func() error {
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

// add returns the file that has the entry then.
func add(path string, entry []byte, check func(string, config.Inlined) error) (name string, changed bool, err error) {
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
	if config.SameJSON(planned.text, planned.file.text) {
		return planned.name, false, nil
	}
	if err := planned.replace(planned.text); err != nil {
		undo()
		return "", false, err
	}
	return planned.name, true, nil
}

// describe says what to do about a file that is no list.
func describe(path string, err error) error {
	if filepath.Ext(path) == ".conflist" {
		return err
	}
	return fmt.Errorf("%w; only lists can have it: make it a .conflist with \"plugins\", or name another file", err)
}
