package jsondoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// byteOrderMark is a character that some editors put at the beginning of a text in
// UTF-8. JSON does not allow it (RFC 8259 section 8.1).
const byteOrderMark = "\ufeff"

// Error is the error of a text that is not the expected JSON.
type Error struct {
	// Place names the place in the text, or the whole document.
	Place string
	// Problem says what is wrong there.
	Problem string
	// At is the same place as a position in the text.
	At Position
}

// Error joins the place and the problem.
func (e *Error) Error() string { return e.Place + ": " + e.Problem }

// Read checks the syntax of a text, and returns the JSON value in it. Errors are of type
// *Error.
func Read(text []byte) (json.RawMessage, error) {
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		at, problem := syntaxProblem(text, err)
		return nil, &Error{Place: at.String(), Problem: problem, At: at}
	}
	return raw, nil
}

// syntaxProblem returns the place where a text stops being JSON, and the reason.
func syntaxProblem(text []byte, err error) (at Position, problem string) {
	switch {
	case bytes.HasPrefix(text, []byte(byteOrderMark)):
		return PositionAt(text, 0), "starts with a byte order mark (U+FEFF): save it without"
	case Start(text) == len(text):
		return PositionAt(text, 0), "the text is empty: JSON is expected"
	}
	syntax := new(json.SyntaxError)
	if !errors.As(err, &syntax) || syntax.Offset == 0 {
		return PositionAt(text, 0), err.Error()
	}
	offset := int(syntax.Offset) - 1 // the offset includes the wrong character
	return PositionAt(text, offset), nameCharacter(text[offset:], err.Error())
}

// nameCharacter names the wrong character in a syntax error. encoding/json looks at
// single bytes, and names the first byte of a longer character.
func nameCharacter(from []byte, problem string) string {
	const start, end = "invalid character '", "' "
	_, rest, found := strings.Cut(strings.TrimPrefix(problem, start), end)
	if from[0] < utf8.RuneSelf || !strings.HasPrefix(problem, start) || !found {
		return problem
	}
	r, size := utf8.DecodeRune(from)
	if string(r) == byteOrderMark { // for example at the beginning of a drop-in
		return "byte order mark (U+FEFF): save the file without"
	}
	if size == 1 {
		return fmt.Sprintf("byte 0x%02X, which is not UTF-8, %s", from[0], rest)
	}
	return fmt.Sprintf("invalid character %q (U+%04X) %s", r, r, rest)
}
