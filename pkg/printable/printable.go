// Package printable makes text from outside fit to be shown: annotations, names
// of devices and containers, what a file or another program says.
//
// Such text can be of any length, and can hold characters that drive a terminal
// or reorder what is beside them.
package printable

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text returns s with each character that is not printable escaped, as in a Go
// string. A backslash stays as it is.
func Text(s string) string {
	if isPlain(s) {
		return s // mostly
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if strconv.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(s[:size])
		} else {
			quoted := strconv.Quote(s[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Cut returns the first characters of s, and an ellipsis if it has more.
func Cut(s string, characters int) string {
	if len(s) <= characters {
		return s
	}
	for i := range s {
		if characters--; characters < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// Short is Text of not more than so many characters, and some for an escape.
func Short(s string, characters int) string { return Cut(Text(Cut(s, characters)), characters) }

// Bytes is Text of not more than so many bytes, and an ellipsis if there are more.
func Bytes(s string, most int) string { return CutBytes(Text(CutBytes(s, most)), most) }

// CutBytes is Cut by bytes.
func CutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// Lines is Text that keeps line ends and tabs.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j := range cells {
			cells[j] = Text(cells[j])
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}
