// Package conflist reads the configuration of a network from its files, checks it as ADD and
// the runtime would, and says in which file and line an error is.
package conflist

import (
	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/config"
)

// Conflist is the configuration of a network.
type Conflist struct {
	// List is nil if the text has errors.
	*config.List
	// Path is the file, or "stdin".
	Path string
	// Text is the conflist as runtimes read it: with its drop-ins.
	Text []byte

	inlined confedit.Inlined // knows the file of each part of Text
}

// Entry returns the entry of xdp-port that is in force: of several the last.
func (c *Conflist) Entry() *config.Entry { return &c.Entries[len(c.Entries)-1] }
