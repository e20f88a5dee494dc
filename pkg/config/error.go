package config

import (
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// The bounds of an error. A runtime stores the message in an event, and repeats it with
// each retry.
const (
	maxProblems = 20
	maxProblem  = 400     // characters
	maxMessage  = 4 << 10 // bytes
)

// Problem is one thing that is wrong in a configuration.
type Problem struct {
	// Place is the path of the value, such as rules[2].toPort.
	Place string
	// Text says what is wrong and how to fix it.
	Text string
	// At is the position of the value in the text. Only ParseList, ParseEntry and errors in
	// the syntax of JSON set it.
	At jsondoc.Position

	offset int
}

// String joins the place and the text: "rules[2].toPort: 70000 is not a port (1-65535)".
func (p Problem) String() string { return p.Place + ": " + p.Text }

// Error is the error of a configuration, with everything that is wrong in it.
type Error struct {
	// Problems are in the order of the document. There are 1 to 20 of them.
	Problems []Problem
	// More is the number of further problems.
	More int

	// isMalformed reports that the text is not a JSON object.
	isMalformed bool
}

// Error lists the problems on one line, which is how Kubernetes shows an event.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		line := p.String()
		if b.Len()+len(line) > maxMessage {
			return b.String() + andMore(len(e.Problems)-i+e.More)
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

// CNI returns the error in the form that a runtime expects.
//
// The problems are in the message: some runtimes do not show the details, and the others
// show both.
func (e *Error) CNI() *types.Error {
	if e.isMalformed {
		return types.NewError(types.ErrDecodingFailure, e.Error(), "")
	}
	return types.NewError(types.ErrInvalidNetworkConfig, e.Error(), "")
}
