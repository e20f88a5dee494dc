package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// byteOrderMark is what some editors put in front of a text in UTF-8. JSON has
// none (RFC 8259 section 8.1).
const byteOrderMark = "\ufeff"

// CheckSyntax returns an *Error with the place if a text is not a JSON object,
// which every configuration is.
func CheckSyntax(text []byte) error {
	_, err := parseDocument(text)
	return err
}

// syntaxProblem says where a text stops being JSON, and why.
func syntaxProblem(text []byte, err error) (at Position, problem string) {
	switch {
	case bytes.HasPrefix(text, []byte(byteOrderMark)):
		return positionAt(text, 0), "starts with a byte order mark (U+FEFF); save it without"
	case documentStart(text) == len(text):
		return positionAt(text, 0), "is empty: JSON is expected"
	}
	syntax := new(json.SyntaxError)
	if !errors.As(err, &syntax) || syntax.Offset == 0 {
		return positionAt(text, 0), err.Error()
	}
	offset := int(syntax.Offset) - 1 // the offset counts the character at fault
	return positionAt(text, offset), nameCharacter(text[offset:], err.Error())
}

// nameCharacter names the character that a syntax error is about: encoding/json
// looks at single bytes, and takes the first of several for a letter.
func nameCharacter(from []byte, problem string) string {
	const start, end = "invalid character '", "' "
	_, rest, found := strings.Cut(strings.TrimPrefix(problem, start), end)
	if from[0] < utf8.RuneSelf || !strings.HasPrefix(problem, start) || !found {
		return problem
	}
	r, size := utf8.DecodeRune(from)
	if string(r) == byteOrderMark { // where a drop-in stands in its list, for one
		return "byte order mark (U+FEFF); save the file without"
	}
	if size == 1 {
		return fmt.Sprintf("byte 0x%02X, which is not UTF-8, %s", from[0], rest)
	}
	return fmt.Sprintf("invalid character %q (U+%04X) %s", r, r, rest)
}
