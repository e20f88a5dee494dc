package conflist

import (
	"context"
	"io"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// Read reads a conflist and its drop-ins. Returns a *config.Error if there are errors in it,
// with the Conflist, which can Describe them.
//
// The file may be a pipe that nobody writes to yet: Read waits until the context is done.
func Read(ctx context.Context, path string) (*Conflist, error) {
	text, err := readFile(ctx, path)
	if err != nil {
		return nil, err
	}
	dropIns, err := install.ReadDropIns(path, text)
	if err != nil {
		return nil, err
	}
	return New(path, confedit.Inline(text, dropIns))
}

// ReadStdin is Read for a conflist without drop-ins that arrives on stdin.
func ReadStdin(ctx context.Context, stdin io.Reader) (*Conflist, error) {
	const name = "stdin"
	text, err := interruptible(ctx, name, func() ([]byte, error) { return readText(name, stdin) })
	if err != nil {
		return nil, err
	}
	return New(name, confedit.Inlined{Text: text})
}

// New checks a conflist that has been read. Returns a *config.Error if there are errors in
// it, with the Conflist, which can Describe them.
func New(path string, inlined confedit.Inlined) (*Conflist, error) {
	c := &Conflist{Path: path, Text: inlined.Text, inlined: inlined}
	list, err := config.ParseList(c.Text)
	if err != nil {
		return c, err
	}
	c.List = list
	return c, c.checkByCNI()
}

// Check checks a conflist that has been read. The error has a line for each error in it.
func Check(path string, inlined confedit.Inlined) error {
	c, err := New(path, inlined)
	return c.Located(err)
}
