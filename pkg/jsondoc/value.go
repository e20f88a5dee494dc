// Package jsondoc reads JSON documents. Each value knows its place in the text, so that a
// message can name it.
//
// A Value is taken apart only as far as the caller looks into it. Parse checks the syntax
// of the whole document first, so that no later step can fail.
package jsondoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// Value is a JSON value and its place.
//
// It is small: a thousand rules have some thousands of values, and the first access to
// memory takes most of the time of reading them.
type Value struct {
	raw      []byte
	parent   *Value // nil for the outermost value
	key      string // in a parent that is an object
	root     *root  // of an outermost value
	offset   int32  // in the document
	index    int32  // in a parent that is a list
	rejected bool
}

// root belongs to an outermost value.
type root struct {
	// name is the value's place. path is the beginning of the places inside it.
	name, path string
	// keys are the keys that Members returns without a copy.
	keys []string
}

// documentName is the place of a whole document.
const documentName = "configuration"

// Parse reads a document, which must be an object. The keys are frequent ones: Members
// returns them without a copy. Errors are of type *Error.
func Parse(text []byte, keys ...string) (*Value, error) {
	raw, err := Read(text)
	if err != nil {
		return nil, err
	}
	document := &Value{raw: raw, root: &root{name: documentName, keys: keys}}
	if !document.IsObject() {
		problem := document.String() + " is not an object: write the keys and values in { }"
		return nil, &Error{Place: document.Place(), Problem: problem, At: PositionAt(text, Start(text))}
	}
	return document, nil
}

// Embed returns the outermost value of a text inside a string. Its place is name, and the
// places inside it begin with path. All have the offset of the string.
func Embed(in *Value, raw json.RawMessage, name, path string) *Value {
	return &Value{raw: raw, offset: in.offset, root: &root{name, path, in.top().keys}}
}

// RejectedValue returns a rejected placeholder. The problem is reported elsewhere.
func RejectedValue() *Value {
	return &Value{raw: []byte("0"), root: &root{name: documentName}, rejected: true}
}

// Reject marks a value with a reported problem.
func (v *Value) Reject() { v.rejected = true }

// IsRejected reports whether the value is marked by Reject.
func (v *Value) IsRejected() bool { return v.rejected }

// IsGood reports whether the value exists and is not rejected.
func (v *Value) IsGood() bool { return v != nil && !v.rejected }

// Raw returns the text of the value.
func (v *Value) Raw() json.RawMessage { return v.raw }

// Offset returns the place of the value in the document, in bytes from its start.
func (v *Value) Offset() int { return int(v.offset) }

// Key returns the key of the value in the object that contains it.
func (v *Value) Key() string { return v.key }

// Index returns the index of the value in the list that contains it.
func (v *Value) Index() int { return int(v.index) }

// IsObject reports whether the value is an object.
func (v *Value) IsObject() bool { return v.raw[0] == '{' }

// IsList reports whether the value is a list.
func (v *Value) IsList() bool { return v.raw[0] == '[' }

// IsNull reports whether the value is null.
func (v *Value) IsNull() bool { return v.raw[0] == 'n' }

// IsNumber reports whether the value is a number.
func (v *Value) IsNumber() bool { return v.raw[0] == '-' || '0' <= v.raw[0] && v.raw[0] <= '9' }

// Whole returns the value as a whole number, if it is one. JSON does not distinguish 80,
// 80.0 and 8e1, and JSON Schema does not, either.
func (v *Value) Whole() (n int, ok bool) {
	const exact = 1 << 53
	if !v.IsNumber() {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= exact {
		return 0, false
	}
	return int(f), true
}

// Text returns the value as a string, if it exists and is one.
func (v *Value) Text() (text string, ok bool) {
	if v == nil || v.raw[0] != '"' {
		return "", false
	}
	if inside := v.raw[1 : len(v.raw)-1]; utf8.Valid(inside) && !bytes.ContainsRune(inside, '\\') {
		return string(inside), true // the usual case: nothing is escaped
	}
	err := json.Unmarshal(v.raw, &text)
	return text, err == nil
}

// String returns the value for messages: on one line, short and printable.
func (v *Value) String() string {
	if text, ok := v.Text(); ok {
		return Quote(text)
	}
	var line bytes.Buffer
	_ = json.Compact(&line, v.raw) // the syntax has been checked
	return printable.Short(line.String(), maxShown)
}

// Quote returns a text in quotes for messages, short and printable.
func Quote(text string) string {
	quoted := strconv.Quote(Shorten(text))
	return `"` + printable.Cut(quoted[1:len(quoted)-1], maxShown+1) + `"`
}

// maxShown is the number of characters of a value that a message shows.
const maxShown = 64

// Shorten cuts a text to the length that messages show.
func Shorten(s string) string { return printable.Cut(s, maxShown) }

// Members returns the values in an object, in document order. It returns nothing if the
// value is not an object.
func (v *Value) Members() []*Value {
	if !v.IsObject() {
		return nil
	}
	keys := v.top().keys
	members := make([]Value, v.maxMembers())
	i := 0
	for raw, offset := range v.pieces() {
		if m := &members[i/2]; i%2 == 0 {
			m.key = keyOf(raw, keys)
		} else {
			m.raw, m.offset, m.parent = raw, offset, v
		}
		i++
	}
	return pointers(members[:i/2])
}

// maxMembers returns a number that is at least the number of members. For a short object
// it counts colons, which is faster than cutting the text twice.
func (v *Value) maxMembers() int {
	const short = 512
	if len(v.raw) < short {
		return bytes.Count(v.raw, []byte(":"))
	}
	return v.count() / 2
}

// Elements returns the values in a list. It returns nothing if the value is not a list.
func (v *Value) Elements() []*Value {
	if !v.IsList() {
		return nil
	}
	elements := make([]Value, v.count())
	i := 0
	for raw, offset := range v.pieces() {
		elements[i] = Value{raw: raw, offset: offset, parent: v, index: int32(i)}
		i++
	}
	return pointers(elements)
}

func pointers(values []Value) []*Value {
	all := make([]*Value, len(values))
	for i := range values {
		all[i] = &values[i]
	}
	return all
}

// keyOf decodes a key. It returns a known key without a copy.
func keyOf(raw []byte, known []string) string {
	inside := raw[1 : len(raw)-1]
	for _, key := range known {
		if string(inside) == key {
			return key
		}
	}
	key, _ := (&Value{raw: raw}).Text()
	return key
}

func (v *Value) count() int {
	n := 0
	for range v.pieces() {
		n++
	}
	return n
}

// pieces cuts the text between the outermost brackets at the commas and colons of that
// level, and returns each piece with its offset in the document: the elements of a list,
// or the keys and values of an object in turn. The syntax must be checked already.
func (v *Value) pieces() iter.Seq2[[]byte, int32] {
	return func(yield func([]byte, int32) bool) {
		depth, start, inString := 0, 1, false
		for i := 0; i < len(v.raw); i++ {
			switch c := v.raw[i]; {
			case inString && c == '\\':
				i++ // an escaped character ends no string
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

// cut returns the text between two places without the white space around it, and its
// offset in the document.
func (v *Value) cut(start, end int) (raw []byte, offset int32) {
	for start < end && isSpace(v.raw[start]) {
		start++
	}
	for start < end && isSpace(v.raw[end-1]) {
		end--
	}
	return v.raw[start:end], v.offset + int32(start)
}

// isSpace reports whether a character is white space in JSON (RFC 8259 section 2).
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// At follows a path of keys, and returns nil if it leads nowhere. The last one of equal
// keys counts, as in encoding/json.
func (v *Value) At(path ...string) *Value {
	for _, key := range path {
		if v == nil {
			return nil
		}
		var found *Value
		for _, m := range v.Members() {
			if m.key == key {
				found = m
			}
		}
		v = found
	}
	return v
}

// Place returns the place of the value in the notation of JavaScript: rules[2].port.
func (v *Value) Place() string {
	if v.parent == nil {
		return v.root.name
	}
	before := ""
	if v.parent.root != nil {
		before = v.parent.root.path
	} else {
		before = v.parent.Place()
	}
	switch {
	case v.parent.IsList():
		return fmt.Sprintf("%s[%d]", before, v.index)
	case !isSimpleKey(v.key):
		return fmt.Sprintf("%s[%s]", before, Quote(v.key))
	case before == "":
		return v.key
	}
	return before + "." + v.key
}

// top returns the root of the outermost value.
func (v *Value) top() *root {
	for v.parent != nil {
		v = v.parent
	}
	return v.root
}

// isSimpleKey reports whether a place shows a key without brackets.
func isSimpleKey(key string) bool {
	const maxKey, digits = 63, "0123456789"
	isOther := func(c rune) bool {
		return (c < 'a' || 'z' < c) && (c < 'A' || 'Z' < c) && (c < '0' || '9' < c) && c != '_'
	}
	return key != "" && len(key) <= maxKey && !strings.ContainsFunc(key, isOther) && !strings.Contains(digits, key[:1])
}

// CheckObject returns an *Error if a text is not a JSON object.
func CheckObject(text []byte) error {
	_, err := Parse(text)
	return err
}
