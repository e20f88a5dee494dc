package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// printer is stdout, or stderr. It remembers the first error, so that whoever
// prints need not look: what was printed in part is said at the end.
type printer struct {
	io.Writer
	failure error
	// clean escapes what would drive a terminal: names of devices and containers are
	// from outside, and so is what files and other programs say. Nil for data.
	clean func(string) string
	// rest is the beginning of a character whose end is yet to come.
	rest []byte
}

// newPrinter makes one for text.
func newPrinter(w io.Writer) *printer { return &printer{Writer: w, clean: printable.Lines} }

func (p *printer) Write(text []byte) (int, error) {
	if p.failure != nil {
		return 0, p.failure
	}
	if p.clean == nil {
		n, err := p.Writer.Write(text)
		p.failure = err
		return n, err
	}
	whole := append(p.rest, text...)
	end := lastWhole(whole)
	p.rest = slices.Clone(whole[end:])
	if _, p.failure = io.WriteString(p.Writer, p.clean(string(whole[:end]))); p.failure != nil {
		return 0, p.failure
	}
	return len(text), nil
}

// lastWhole is where the last character begins if its end is missing, and else
// where the text ends.
func lastWhole(text []byte) int {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return i
			}
			break
		}
	}
	return len(text)
}

// isTerminal tells whether somebody watches what is printed.
func (p *printer) isTerminal() bool {
	file, ok := p.Writer.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// isClosedPipe tells whether all that went wrong is that nobody reads a pipe, or a
// FIFO, any more; those of sockets are others.
func isClosedPipe(err error) bool {
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		return !slices.ContainsFunc(several.Unwrap(), func(err error) bool { return !isClosedPipe(err) })
	}
	var failure *fs.PathError
	return errors.As(err, &failure) && failure.Op == "write" && errors.Is(failure.Err, unix.EPIPE)
}
