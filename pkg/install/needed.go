package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Needed says why the programs must stay: interfaces are attached, or a conflist names
// xdp-port. A runtime needs the plugin to remove containers of both. It returns an empty text
// if the programs can be removed.
func (n Networks) Needed(attached int) (why string, err error) {
	if attached > 0 {
		return fmt.Sprintf("%d interfaces of containers are attached", attached), nil
	}
	mentions, err := n.Mentions()
	if len(mentions) == 0 {
		return "", err
	}
	why = strings.Join(mentions, ", ") + " still names xdp-port"
	if originals := n.Originals(); len(originals) > 0 {
		why += "; the originals stay in " + strings.Join(originals, ", ")
	}
	return why, err
}

// OwnFolder returns the folder of the running program, which also has the plugin.
func OwnFolder() (string, error) {
	self, err := os.Executable()
	return filepath.Dir(self), err
}
