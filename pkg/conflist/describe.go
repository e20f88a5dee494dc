package conflist

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// Lines describes each error on a line, and says how many more there are. The kind is
// "error" or "warning".
func (c *Conflist) Lines(kind string, e *config.Error) []string {
	var lines []string
	for _, m := range e.Problems {
		lines = append(lines, c.Describe(kind, m))
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", c.Path, e.More))
	}
	return lines
}

// Describe says what an error is and where, as compilers do: "FILE:LINE:COLUMN: error: ...".
func (c *Conflist) Describe(kind string, m config.Problem) string {
	path, place := c.Locate(m.At)
	at := fmt.Sprintf("%s:%d:%d: %s: ", path, place.Line, place.Column, kind)
	if m.Place == m.At.String() {
		return at + m.Text
	}
	return at + m.String()
}

// Locate returns the file of a position in the text, and the position there.
func (c *Conflist) Locate(at jsondoc.Position) (path string, place jsondoc.Position) {
	if path, place = c.DropIn(at); path == "" {
		path = c.Path
	}
	return path, place
}

// DropIn returns the drop-in of a position in the text, empty for the conflist itself, and
// the position there.
func (c *Conflist) DropIn(at jsondoc.Position) (path string, place jsondoc.Position) {
	return c.inlined.Locate(at)
}

// Located replaces a *config.Error by one whose text is that of Lines. It returns other
// errors unchanged.
func (c *Conflist) Located(err error) error {
	var e *config.Error
	if !errors.As(err, &e) {
		return err
	}
	return errors.New(strings.Join(c.Lines("error", e), "\n"))
}
