package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// Mistake is one thing that is wrong with a configuration.
type Mistake struct {
	// Place is where it stands, such as rules[2].toPort.
	Place string
	// Problem says what is wrong there and how to mend it.
	Problem string
	// At is the same place as a position in the text. It is zero but for mistakes
	// of ParseList and of JSON itself.
	At Position

	offset int
}

// String joins the place and the problem: "rules[2].toPort: 70000 is not a
// port (1-65535)".
func (m Mistake) String() string {
	return m.Place + ": " + m.Problem
}

// Error is everything that is wrong with a configuration.
type Error struct {
	// Mistakes are in document order. There is at least one.
	Mistakes []Mistake
}

// Error lists the mistakes on one line: what Kubernetes shows of an event.
func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = m.String()
	}
	return strings.Join(lines, "; ")
}

// CNI returns the error as a runtime expects it.
//
// The mistakes are in the message, not in the details: some runtimes show no
// details, the others show both.
func (e *Error) CNI() *types.Error {
	return types.NewError(types.ErrInvalidNetworkConfig, e.Error(), "")
}

// parser collects the mistakes while a configuration is read. What a mistake
// leaves unread is read as if it were not there.
type parser struct {
	mistakes []Mistake
}

// report notes a mistake at v.
func (p *parser) report(v *value, format string, args ...any) {
	v.bad = true
	p.mistakes = append(p.mistakes, Mistake{Place: v.place(), Problem: fmt.Sprintf(format, args...), offset: int(v.offset)})
}

// err returns an *Error of the mistakes reported, or nil if there are none.
func (p *parser) err() error {
	if len(p.mistakes) == 0 {
		return nil
	}
	return &Error{Mistakes: p.sorted()}
}

// sorted puts the mistakes into document order.
func (p *parser) sorted() []Mistake {
	sort.SliceStable(p.mistakes, func(i, j int) bool {
		return p.mistakes[i].offset < p.mistakes[j].offset
	})
	return p.mistakes
}
