package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// value is a JSON value together with where it stands. It is taken apart only
// as far as somebody looks into it.
//
// It is kept small: a thousand rules have some thousands of them, and memory
// that a process touches for the first time is most of what reading costs.
type value struct {
	raw    []byte
	parent *value // nil for the document itself
	key    string // in a parent that is an object
	root   *root  // of a value without a parent
	offset int32  // in the document
	index  int32  // in a parent that is a list
	bad    bool   // a mistake was reported here
}

// root is where the places of values begin.
type root struct {
	// name is what the outermost value is called in messages, path what the
	// places of all that it holds begin with.
	name, path string
}

// parseDocument checks the syntax of a whole document, an object, so that
// nothing that takes it apart later can fail.
func parseDocument(data []byte) (*value, error) {
	document := &value{root: &root{name: "configuration"}}
	if err := json.Unmarshal(data, (*json.RawMessage)(&document.raw)); err != nil {
		at, problem := syntaxProblem(data, err)
		return nil, &Error{Mistakes: []Mistake{{Place: at.String(), Problem: problem, At: at}}, isMalformed: true}
	}
	if !document.isObject() {
		at := positionAt(data, documentStart(data))
		problem := document.String() + " is not an object: write the keys and values in { }"
		return nil, &Error{Mistakes: []Mistake{{Place: document.place(), Problem: problem, At: at}}, isMalformed: true}
	}
	return document, nil
}

// positionAt tells the line and column of an offset.
func positionAt(data []byte, offset int) Position {
	before := data[:min(offset, len(data))]
	return Position{
		Line:   bytes.Count(before, []byte("\n")) + 1,
		Column: utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1,
	}
}

// String returns the position as messages have it.
func (p Position) String() string { return fmt.Sprintf("line %d, column %d", p.Line, p.Column) }

func (v *value) isObject() bool { return v.raw[0] == '{' }
func (v *value) isList() bool   { return v.raw[0] == '[' }
func (v *value) isNull() bool   { return v.raw[0] == 'n' }
func (v *value) isNumber() bool { return v.raw[0] == '-' || '0' <= v.raw[0] && v.raw[0] <= '9' }

// whole returns the whole number that the value is, if it is one. JSON makes no
// difference between 80, 80.0 and 8e1, nor does a JSON Schema.
func (v *value) whole() (n int, ok bool) {
	const exact = 1 << 53
	if !v.isNumber() {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= exact {
		return 0, false
	}
	return int(f), true
}

// good tells whether the value is there and no mistake was reported at it.
func (v *value) good() bool { return v != nil && !v.bad }

// text returns the string that the value is, if it is there and is one.
func (v *value) text() (text string, ok bool) {
	if v == nil || v.raw[0] != '"' {
		return "", false
	}
	if inside := v.raw[1 : len(v.raw)-1]; utf8.Valid(inside) && !bytes.ContainsRune(inside, '\\') {
		return string(inside), true // as it stands: most strings are plain
	}
	err := json.Unmarshal(v.raw, &text)
	return text, err == nil
}

// String returns the value as a message can show it: on one line, and short.
func (v *value) String() string {
	if text, ok := v.text(); ok {
		return quote(text)
	}
	var line bytes.Buffer
	_ = json.Compact(&line, v.raw) // the syntax has been checked
	return printable.Short(line.String(), enough)
}

// quote returns a text in quotes, short though what is not printable is escaped.
func quote(text string) string {
	quoted := strconv.Quote(shorten(text))
	return `"` + printable.Cut(quoted[1:len(quoted)-1], enough+1) + `"`
}

// enough is how many characters of a value a message shows.
const enough = 64

func shorten(s string) string { return printable.Cut(s, enough) }

// members returns the values that an object holds, in document order; nothing
// if the value is no object.
func (v *value) members() []*value {
	if !v.isObject() {
		return nil
	}
	members := make([]value, v.mostMembers())
	i := 0
	for raw, offset := range v.pieces() {
		if m := &members[i/2]; i%2 == 0 {
			m.key = keyOf(raw)
		} else {
			m.raw, m.offset, m.parent = raw, offset, v
		}
		i++
	}
	return pointers(members[:i/2])
}

// mostMembers is how many members an object has, or more than that for a short
// one, where counting colons is quicker than cutting it twice.
func (v *value) mostMembers() int {
	const short = 512
	if len(v.raw) < short {
		return bytes.Count(v.raw, []byte(":"))
	}
	return v.count() / 2
}

// elements returns what a list holds; nothing if the value is no list.
func (v *value) elements() []*value {
	if !v.isList() {
		return nil
	}
	elements := make([]value, v.count())
	i := 0
	for raw, offset := range v.pieces() {
		elements[i] = value{raw: raw, offset: offset, parent: v, index: int32(i)}
		i++
	}
	return pointers(elements)
}

func pointers(values []value) []*value {
	all := make([]*value, len(values))
	for i := range values {
		all[i] = &values[i]
	}
	return all
}

// keyOf returns the string that a key is: those that mean something to the
// plugin without a copy.
func keyOf(raw []byte) string {
	inside := raw[1 : len(raw)-1]
	for _, known := range ruleKeys {
		if string(inside) == known {
			return known
		}
	}
	key, _ := (&value{raw: raw}).text()
	return key
}

func (v *value) count() int {
	n := 0
	for range v.pieces() {
		n++
	}
	return n
}

// pieces cuts what is between the outermost brackets at the commas and colons
// of that level: into the elements of a list, or the keys and values of an
// object in turn, and says where in the document each stands. It relies on the
// syntax having been checked.
func (v *value) pieces() iter.Seq2[[]byte, int32] {
	return func(yield func([]byte, int32) bool) {
		depth, start, inString := 0, 1, false
		for i := 0; i < len(v.raw); i++ {
			switch c := v.raw[i]; {
			case inString && c == '\\':
				i++ // what is escaped ends no string
			case c == '"':
				inString = !inString
			case inString:
			case c == '{' || c == '[':
				depth++
			case depth == 1 && (c == ',' || c == ':' || c == '}' || c == ']'):
				if raw, offset := v.cut(start, i); len(raw) > 0 && !yield(raw, offset) {
					return
				}
				start = i + 1
			case c == '}' || c == ']':
				depth--
			}
		}
	}
}

// cut returns what is between two places without the white space around it, if
// that leaves anything, and where that stands.
func (v *value) cut(start, end int) (raw []byte, offset int32) {
	for start < end && isSpace(v.raw[start]) {
		start++
	}
	for start < end && isSpace(v.raw[end-1]) {
		end--
	}
	return v.raw[start:end], v.offset + int32(start)
}

// isSpace tells what is white space in JSON (RFC 8259 section 2).
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// at follows a path of keys; nil if it leads nowhere. Of a key given twice the
// last counts, as in encoding/json.
func (v *value) at(path ...string) *value {
	for _, key := range path {
		if v == nil {
			return nil
		}
		var found *value
		for _, m := range v.members() {
			if m.key == key {
				found = m
			}
		}
		v = found
	}
	return v
}

// place is where the value stands, in JavaScript's notation: rules[2].port.
func (v *value) place() string {
	if v.parent == nil {
		return v.root.name
	}
	before := ""
	if v.parent.root != nil {
		before = v.parent.root.path
	} else {
		before = v.parent.place()
	}
	switch {
	case v.parent.isList():
		return fmt.Sprintf("%s[%d]", before, v.index)
	case !isPlainKey(v.key):
		return fmt.Sprintf("%s[%s]", before, quote(v.key))
	case before == "":
		return v.key
	}
	return before + "." + v.key
}
