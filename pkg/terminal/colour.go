package terminal

import (
	"os"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// Colour is a foreground colour.
type Colour text.Color

// The colours.
const (
	Red     = Colour(text.FgRed)
	Green   = Colour(text.FgGreen)
	Yellow  = Colour(text.FgYellow)
	Magenta = Colour(text.FgMagenta)
	Cyan    = Colour(text.FgCyan)
)

// HasColours reports whether the output shows colours: it is a terminal that can, and the
// user has not set NO_COLOR (https://no-color.org).
func (p *Printer) HasColours() bool {
	return p.IsTerminal() && os.Getenv("NO_COLOR") == "" && !IsDumb()
}

// IsDumb reports whether the terminal can only print line after line.
func IsDumb() bool { return os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" }

// Paint returns the text in a colour, or unchanged if the output shows none.
func (p *Printer) Paint(colour Colour, s string) string {
	if !p.HasColours() {
		return s
	}
	text.EnableColors()
	return text.Color(colour).Sprint(s)
}

// KeepColours lets the colours of Paint through if the output shows them.
func (p *Printer) KeepColours() {
	if p.HasColours() {
		p.clean = printable.Coloured
	}
}
