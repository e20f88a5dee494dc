package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// printer is stdout. It remembers the first error, so that whoever prints need
// not look: what was printed in part is said at the end.
type printer struct {
	io.Writer
	failure error
}

func (p *printer) Write(text []byte) (int, error) {
	if p.failure != nil {
		return 0, p.failure
	}
	n, err := p.Writer.Write(text)
	p.failure = err
	return n, err
}

// isTerminal tells whether somebody watches what is printed.
func (p *printer) isTerminal() bool {
	file, ok := p.Writer.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// isClosedPipe tells whether all that went wrong is that nobody reads a pipe, or a
// FIFO, any more; those of sockets are others.
func isClosedPipe(err error) bool {
	switch err := err.(type) {
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(err.Unwrap(), func(err error) bool { return !isClosedPipe(err) })
	case *fs.PathError:
		return err.Op == "write" && errors.Is(err.Err, unix.EPIPE)
	default:
		below := errors.Unwrap(err)
		return below != nil && isClosedPipe(below)
	}
}
