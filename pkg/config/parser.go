package config

import (
	"fmt"
	"slices"
	"sort"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// parser collects the problems of a configuration. It treats a rejected value as missing.
type parser struct {
	problems []Problem
}

// report reports a problem at v. Quoted parts of the configuration must already be short
// and printable, so that the fix at the end of the text is not cut off.
func (p *parser) report(v *value, format string, args ...any) {
	v.Reject()
	text := printable.Short(fmt.Sprintf(format, args...), maxProblem)
	p.problems = append(p.problems, Problem{Place: v.Place(), Text: text, offset: v.Offset()})
}

// err returns an *Error with the reported problems, or nil if there are none.
func (p *parser) err() error {
	if len(p.problems) == 0 {
		return nil
	}
	sort.SliceStable(p.problems, func(i, j int) bool { return p.problems[i].offset < p.problems[j].offset })
	first := p.problems[:min(len(p.problems), maxProblems)]
	return &Error{Problems: first, More: len(p.problems) - len(first)}
}

// object is a JSON object with the values of the keys that its reader knows.
type object struct {
	*value
	fields []field
}

// field is a value and the key under which its reader knows it.
type field struct {
	key string
	*value
}

// in returns the value of a key, or nil. Objects have few keys, so a search is fast.
func (o object) in(key string) *value {
	for _, f := range o.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// set replaces the value of a key.
func (o *object) set(key string, v *value) {
	for i := range o.fields {
		if o.fields[i].key == key {
			o.fields[i].value = v
			return
		}
	}
	o.fields = append(o.fields, field{key, v})
}

// object finds the keys in v, and also returns the members with other keys. It reports a
// key that is given twice, and keeps the first value.
func (p *parser) object(v *value, keys []string) (o object, others []*value) {
	members := v.Members()
	o = object{v, make([]field, 0, len(members))}
	for _, m := range members {
		switch {
		case !slices.Contains(keys, m.Key()):
			others = append(others, m)
		case o.in(m.Key()) != nil:
			p.report(m, "is given twice: keep one")
		default:
			o.fields = append(o.fields, field{m.Key(), m})
		}
	}
	return o, others
}

// refuseKey reports a member of o with an unknown key. If the key is similar to a known
// one, the member counts as that one, so that the known key is not reported as missing.
func (p *parser) refuseKey(o *object, m *value, known []string, has string) {
	meant := nearest(m.Key(), known)
	if meant == "" {
		p.report(m, "unknown key (%s)", has)
		return
	}
	p.report(m, "unknown key; did you mean %q?", meant)
	if o.in(meant) == nil {
		o.set(meant, m)
	}
}

// inner reads an object of CNI, which may be missing or null.
func (p *parser) inner(v *value, keys ...string) object {
	if !v.IsGood() || v.IsNull() {
		return object{}
	}
	if !v.IsObject() {
		p.report(v, "%s is not an object", v)
		return object{}
	}
	o, _ := p.object(v, keys)
	return o
}

// elements returns the elements of a list, which may be missing. what names them.
func (p *parser) elements(list *value, what string) []*value {
	switch {
	case !list.IsGood():
		return nil
	case list.IsNull():
		p.report(list, "null is not a list of %s: leave the key out", what)
		return nil
	case !list.IsList():
		p.report(list, "%s is not a list of %s", list, what)
		return nil
	}
	return list.Elements()
}

// take reads v, or returns fallback if v is missing or rejected.
func take[T any](p *parser, v *value, fallback T, read func(*value) (T, error)) T {
	if !v.IsGood() {
		return fallback
	}
	if v.IsNull() {
		p.report(v, "null is no value: leave the key out")
		return fallback
	}
	taken, err := read(v)
	if err != nil {
		p.report(v, "%v", err)
		return fallback
	}
	return taken
}

// require reads the member of o with a key, and reports it if it is missing. fix says what
// to write.
func require[T any](p *parser, o object, key, fix string, read func(*value) (T, error)) T {
	v := o.in(key)
	if v == nil {
		p.report(o.value, "%s is missing: %s", key, fix)
	} else if v.IsNull() {
		p.report(v, "null is no value: %s", fix)
	}
	var none T
	return take(p, v, none, read)
}

// inQuotes is the error of a number or boolean in quotes. Only one form is accepted, so
// that a configuration means the same everywhere.
func inQuotes(v *value, bare any) error {
	return fmt.Errorf("%s is a string: write %v without quotes", v, bare)
}

// listParser is a parser that knows the text of the file, for positions.
type listParser struct {
	parser
	text  []byte
	start int // the offset of the document in the text
}

func newListParser(text []byte) *listParser {
	return &listParser{text: text, start: jsondoc.Start(text)}
}

// located returns the problems with their positions, or nil.
func (p *listParser) located() error {
	for i := range p.problems {
		p.problems[i].At = p.position(p.problems[i].offset)
	}
	return p.err()
}

func (p *listParser) position(offset int) jsondoc.Position {
	return jsondoc.PositionAt(p.text, p.start+offset)
}

func (p *listParser) positionOf(v *value) jsondoc.Position { return p.position(v.Offset()) }
