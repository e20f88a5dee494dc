package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// value is a JSON value together with where it stands. It is taken apart only
// as far as somebody looks into it.
type value struct {
	place  string // such as rules[2].port, empty for the document itself
	offset int    // in the document
	raw    []byte
	bad    bool // a mistake was reported here
}

// member is one key of a JSON object with its value.
type member struct {
	key string
	*value
}

// rootPlace is the place of what is wrong with the document as a whole.
const rootPlace = "configuration"

// parseDocument checks the syntax of a whole document, an object, so that
// nothing that takes it apart later can fail.
func parseDocument(data []byte) (*value, error) {
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, &Error{Mistakes: []Mistake{{Place: position(data, err), Problem: err.Error()}}}
	}
	document := &value{raw: raw}
	if !document.isObject() {
		return nil, &Error{Mistakes: []Mistake{{Place: rootPlace, Problem: document.String() + " is not an object"}}}
	}
	return document, nil
}

// position tells the line and column of a syntax error, both from 1.
func position(data []byte, err error) string {
	before := data[:0]
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) && syntax.Offset > 0 {
		before = data[:syntax.Offset-1] // the offset counts the character at fault
	}
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

func (v *value) isObject() bool { return v.raw[0] == '{' }
func (v *value) isList() bool   { return v.raw[0] == '[' }
func (v *value) isNull() bool   { return v.raw[0] == 'n' }
func (v *value) isNumber() bool { return v.raw[0] == '-' || '0' <= v.raw[0] && v.raw[0] <= '9' }

// good tells whether the value is there and no mistake was reported at it.
func (v *value) good() bool { return v != nil && !v.bad }

// text returns the string that the value is, if it is there and is one.
func (v *value) text() (text string, ok bool) {
	ok = v != nil && v.raw[0] == '"' && json.Unmarshal(v.raw, &text) == nil
	return text, ok
}

// String returns the value as a message can show it: on one line, and short.
func (v *value) String() string {
	if text, ok := v.text(); ok {
		return strconv.Quote(shorten(text))
	}
	var line bytes.Buffer
	if err := json.Compact(&line, v.raw); err != nil {
		return "?"
	}
	return shorten(line.String())
}

func shorten(s string) string {
	const enough = 64
	if runes := []rune(s); len(runes) > enough {
		return string(runes[:enough]) + "…"
	}
	return s
}

// members returns what an object holds, in document order; nothing if the
// value is no object.
func (v *value) members() []member {
	if !v.isObject() {
		return nil
	}
	var members []member
	dec := v.open()
	for dec.More() {
		token, _ := dec.Token()
		key, _ := token.(string)
		members = append(members, member{key, v.next(dec, v.memberPlace(key))})
	}
	return members
}

// elements returns what a list holds; nothing if the value is no list.
func (v *value) elements() []*value {
	if !v.isList() {
		return nil
	}
	var elements []*value
	dec := v.open()
	for dec.More() {
		elements = append(elements, v.next(dec, fmt.Sprintf("%s[%d]", v.place, len(elements))))
	}
	return elements
}

// open returns a decoder that stands behind the opening bracket.
func (v *value) open() *json.Decoder {
	dec := json.NewDecoder(bytes.NewReader(v.raw))
	_, _ = dec.Token()
	return dec
}

// next takes the value that the decoder stands before.
func (v *value) next(dec *json.Decoder, place string) *value {
	var raw json.RawMessage
	_ = dec.Decode(&raw)
	end := int(dec.InputOffset())
	return &value{place: place, offset: v.offset + end - len(raw), raw: raw}
}

// at follows a path of keys; nil if it leads nowhere. Of a key given twice the
// last counts, as in encoding/json.
func (v *value) at(path ...string) *value {
	for _, key := range path {
		var found *value
		for _, m := range v.members() {
			if m.key == key {
				found = m.value
			}
		}
		if found == nil {
			return nil
		}
		v = found
	}
	return v
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

func (v *value) memberPlace(key string) string {
	switch {
	case !plainKey.MatchString(key):
		return v.place + "[" + strconv.Quote(shorten(key)) + "]"
	case v.place == "":
		return key
	}
	return v.place + "." + key
}
