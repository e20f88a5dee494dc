// Package terminal prints text and tables for people: it escapes what could drive a
// terminal, adds colours where the output is a terminal, and fits tables into 80 columns.
package terminal

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

// Printer writes to stdout or stderr and escapes control characters. It keeps the first
// error: callers may ignore the errors of single writes and ask Err at the end.
type Printer struct {
	out   io.Writer
	err   error
	clean func(string) string // nil for Raw
	// rest holds the first bytes of a character until the others are written.
	rest []byte
}

// NewPrinter returns a printer for text. It escapes everything that is not printable, since
// names of devices and containers and the messages of other programs are untrusted.
func NewPrinter(w io.Writer) *Printer { return &Printer{out: w, clean: printable.Lines} }

// JSON makes the printer escape as JSON does: documents keep their meaning.
func (p *Printer) JSON() { p.clean = printable.JSON }

// Raw makes the printer write bytes as they are.
func (p *Printer) Raw() { p.clean = nil }

// Clean returns the text as the printer would write it.
func (p *Printer) Clean(text string) string {
	if p.clean == nil {
		return text
	}
	return p.clean(text)
}

// Unwrap returns the writer below, which escapes nothing.
func (p *Printer) Unwrap() io.Writer { return p.out }

// Err returns the first error of a write.
func (p *Printer) Err() error { return p.err }

// Write writes the text, escaped. After an error it writes nothing more.
func (p *Printer) Write(text []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.clean == nil {
		n, err := p.out.Write(text)
		p.err = err
		return n, err
	}
	whole := append(p.rest, text...)
	end := lastWhole(whole)
	p.rest = slices.Clone(whole[end:])
	if _, p.err = io.WriteString(p.out, p.clean(string(whole[:end]))); p.err != nil {
		return 0, p.err
	}
	return len(text), nil
}

// lastWhole returns where the last character begins if its end is missing, else the length
// of the text.
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

// IsTerminal reports whether the output is a terminal.
func (p *Printer) IsTerminal() bool {
	file, ok := p.out.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// IsClosedPipe reports whether the error only says that the reader of a pipe or FIFO has
// gone, as head does. Errors of sockets do not count.
func IsClosedPipe(err error) bool {
	var several interface{ Unwrap() []error }
	if errors.As(err, &several) {
		return !slices.ContainsFunc(several.Unwrap(), func(err error) bool { return !IsClosedPipe(err) })
	}
	var failure *fs.PathError
	return errors.As(err, &failure) && failure.Op == "write" && errors.Is(failure.Err, unix.EPIPE)
}
