package install

import (
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

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
