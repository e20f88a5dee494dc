// Package printable makes untrusted text safe to show: annotations, names of devices
// and containers, contents of files, output of other programs.
//
// Untrusted text can have any length. It can contain characters that control a
// terminal or reorder the text beside them.
package printable

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text escapes each unprintable character of s as in a Go string. It keeps
// backslashes as they are.
func Text(s string) string {
	if isPrintableASCII(s) {
		return s // the usual case
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

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Cut returns at most the given number of characters of s, and an ellipsis if it
// cuts any off.
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

// Short is Text with at most the given number of characters, plus an ellipsis if it
// cuts any off.
func Short(s string, characters int) string { return Cut(Text(Cut(s, characters)), characters) }

// Bytes is Text with at most the given number of bytes, plus an ellipsis if it cuts
// any off.
func Bytes(s string, most int) string { return CutBytes(Text(CutBytes(s, most)), most) }

// CutBytes is Cut with a limit in bytes. It cuts between characters.
func CutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// Lines is Text that keeps line breaks and tabs.
func Lines(s string) string { return keeping(s, "\n\t", Text) }

// JSON escapes the unprintable characters of a JSON document. Only strings can
// contain any, so the document keeps its meaning.
func JSON(s string) string {
	return keeping(s, "\n\t\r", func(part string) string {
		if isPrintableASCII(part) {
			return part
		}
		var b strings.Builder
		for _, r := range part {
			if strconv.IsPrint(r) {
				b.WriteRune(r)
				continue
			}
			for _, unit := range utf16.AppendRune(nil, r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
		return b.String()
	})
}

// Coloured is Lines that also keeps colours (ECMA-48, SGR). Untrusted text can
// change nothing but its colour.
func Coloured(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		end := strings.IndexFunc(after, func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
		if !found || end < 0 || after[end] != 'm' {
			b.WriteString(Lines(before))
			if !found {
				return b.String()
			}
			b.WriteString(Text("\x1b["))
			s = after
			continue
		}
		b.WriteString(Lines(before) + "\x1b[" + after[:end+1])
		s = after[end+1:]
	}
}

// keeping cleans the text between the kept characters.
func keeping(s, kept string, clean func(string) string) string {
	var b strings.Builder
	for {
		at := strings.IndexAny(s, kept)
		if at < 0 {
			b.WriteString(clean(s))
			return b.String()
		}
		b.WriteString(clean(s[:at]) + s[at:at+1])
		s = s[at+1:]
	}
}
