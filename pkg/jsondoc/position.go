package jsondoc

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Position is a place in a text. Line and column begin at 1. A column is a character.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// String returns the position in the form of messages.
func (p Position) String() string { return fmt.Sprintf("line %d, column %d", p.Line, p.Column) }

// PositionAt returns the position of an offset in a text.
func PositionAt(text []byte, offset int) Position {
	before := text[:min(offset, len(text))]
	return Position{
		Line:   bytes.Count(before, []byte("\n")) + 1,
		Column: utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1,
	}
}

// Start returns the offset of the JSON document in a text.
func Start(text []byte) int { return len(text) - len(bytes.TrimLeft(text, " \t\r\n")) }
