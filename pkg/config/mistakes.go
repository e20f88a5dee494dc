package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// The bounds of what is said of a configuration: a runtime keeps the message in
// an event, and says it again with each retry. The last is in bytes.
const (
	maxMistakes = 20
	maxProblem  = 400
	maxMessage  = 4 << 10
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
	// Mistakes are in document order. There is at least one, and at most 20.
	Mistakes []Mistake
	// More is how many there are beside them.
	More int

	// isMalformed tells that the text is not JSON, or no object.
	isMalformed bool
}

// Error lists the mistakes on one line: what Kubernetes shows of an event.
func (e *Error) Error() string {
	var b strings.Builder
	for i, m := range e.Mistakes {
		line := m.String()
		if b.Len()+len(line) > maxMessage {
			return b.String() + andMore(len(e.Mistakes)-i+e.More)
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	if e.More > 0 {
		return b.String() + andMore(e.More)
	}
	return b.String()
}

func andMore(count int) string { return fmt.Sprintf("; and %d more", count) }

// CNI returns the error as a runtime expects it.
//
// The mistakes are in the message, not in the details: some runtimes show no
// details, the others show both.
func (e *Error) CNI() *types.Error {
	if e.isMalformed {
		return types.NewError(types.ErrDecodingFailure, e.Error(), "")
	}
	return types.NewError(types.ErrInvalidNetworkConfig, e.Error(), "")
}

// parser collects the mistakes while a configuration is read. What a mistake
// leaves unread is read as if it were not there.
type parser struct {
	mistakes []Mistake
}

// report notes a mistake at v. What is quoted of the configuration must be short
// and printable already, so that the fix behind it is not cut off.
func (p *parser) report(v *value, format string, args ...any) {
	v.bad = true
	problem := printable.Short(fmt.Sprintf(format, args...), maxProblem)
	p.mistakes = append(p.mistakes, Mistake{Place: v.place(), Problem: problem, offset: int(v.offset)})
}

// err returns an *Error of the mistakes reported, or nil if there are none.
func (p *parser) err() error {
	if len(p.mistakes) == 0 {
		return nil
	}
	all := p.sorted()
	first := all[:min(len(all), maxMistakes)]
	return &Error{Mistakes: first, More: len(all) - len(first)}
}

// sorted puts the mistakes into document order.
func (p *parser) sorted() []Mistake {
	sort.SliceStable(p.mistakes, func(i, j int) bool {
		return p.mistakes[i].offset < p.mistakes[j].offset
	})
	return p.mistakes
}
