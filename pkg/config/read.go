package config

import (
	"fmt"
	"slices"
)

// object is a JSON object, and what it holds of the keys that its reader knows.
type object struct {
	*value
	fields []field
}

// field is a value by the key that it is known by.
type field struct {
	key string
	*value
}

// in returns the value of a key, or nil. Objects have few keys.
func (o object) in(key string) *value {
	for _, f := range o.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// set gives a key another value.
func (o *object) set(key string, v *value) {
	for i := range o.fields {
		if o.fields[i].key == key {
			o.fields[i].value = v
			return
		}
	}
	o.fields = append(o.fields, field{key, v})
}

// object looks for keys in v, and also returns the members with other keys.
// A key that is given twice is a mistake, and the first counts.
func (p *parser) object(v *value, keys []string) (o object, others []*value) {
	members := v.members()
	o = object{v, make([]field, 0, len(members))}
	for _, m := range members {
		switch {
		case !slices.Contains(keys, m.key):
			others = append(others, m)
		case o.in(m.key) != nil:
			p.report(m, "given twice: keep one")
		default:
			o.fields = append(o.fields, field{m.key, m})
		}
	}
	return o, others
}

// refuseKey reports a member of o with a key that is not known. One that is nearly
// a known key stands for it, so that that is not reported as missing as well.
func (p *parser) refuseKey(o *object, m *value, known []string, has string) {
	near := nearest(m.key, known)
	if near == "" {
		p.report(m, "unknown key (%s)", has)
		return
	}
	p.report(m, "unknown key; did you mean %q?", near)
	if o.in(near) == nil {
		o.set(near, m)
	}
}

// inner reads an object of CNI's, which may be left out or null.
func (p *parser) inner(v *value, keys ...string) object {
	if !v.good() || v.isNull() {
		return object{}
	}
	if !v.isObject() {
		p.report(v, "%s is not an object", v)
		return object{}
	}
	o, _ := p.object(v, keys)
	return o
}

// elements returns the elements of a list of what, which may be left out.
func (p *parser) elements(list *value, what string) []*value {
	switch {
	case !list.good():
		return nil
	case list.isNull():
		p.report(list, "null is not a list of %s: leave the key out", what)
		return nil
	case !list.isList():
		p.report(list, "%s is not a list of %s", list, what)
		return nil
	}
	return list.elements()
}

// take reads v, or returns fallback if v is left out or bad.
func take[T any](p *parser, v *value, fallback T, read func(*value) (T, error)) T {
	if !v.good() {
		return fallback
	}
	if v.isNull() {
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

// require reads the member of o that key names. It may not be left out; mend
// says what to write.
func require[T any](p *parser, o object, key, mend string, read func(*value) (T, error)) T {
	v := o.in(key)
	if v == nil {
		p.report(o.value, "%s is missing: %s", key, mend)
	} else if v.isNull() {
		p.report(v, "null is no value: %s", mend)
	}
	var none T
	return take(p, v, none, read)
}

// inQuotes tells to write bare, a number or a boolean, without the quotes that
// make v a string. Only one form is taken, so that a configuration reads the
// same everywhere.
func inQuotes(v *value, bare any) error {
	return fmt.Errorf("%s is a string: write %v without quotes", v, bare)
}
