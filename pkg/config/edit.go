package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// The functions in this file change nothing of a list's text but the entry of
// xdp-port: whoever wrote the rest finds it as it was, down to the white space.

// WithEntry returns the text of a list with this entry, in the place of the one
// that it has, or behind its last plugin. The entry is written as its own text
// is, but for the indentation; its type is put in if it is missing.
func WithEntry(list, entry []byte) ([]byte, error) {
	place, err := findPlace(list)
	if err != nil {
		return nil, err
	}
	text, err := place.format(entry)
	if err != nil {
		return nil, err
	}
	return place.put(text), nil
}

// WithSameEntry returns the text of a list with the entry that another list
// has, as it stands there; nil if that has none.
func WithSameEntry(list, other []byte) ([]byte, error) {
	from, err := findPlace(other)
	if err != nil || from.entry == nil {
		return nil, err
	}
	place, err := findPlace(list)
	if err != nil {
		return nil, err
	}
	return place.put(from.entry.raw), nil
}

// HasEntry tells whether the list has xdp-port among its plugins.
func HasEntry(list []byte) (bool, error) {
	place, err := findPlace(list)
	return err == nil && place.entry != nil, err
}

// WithoutEntry returns the text of a list without the plugin xdp-port.
func WithoutEntry(list []byte) ([]byte, error) {
	for {
		place, err := findPlace(list)
		if err != nil || place.entry == nil {
			return list, err
		}
		list = place.cut()
	}
}

// place is where in the text of a list the entry is, or is to go.
type place struct {
	text    []byte
	start   int // where in text the document begins
	plugins []*value
	entry   *value // nil if there is none
}

func findPlace(text []byte) (*place, error) {
	document, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	plugins := document.at("plugins")
	if plugins == nil || len(plugins.elements()) == 0 {
		return nil, &Error{Mistakes: []Mistake{{
			Place: document.place(), Problem: "there is no list of plugins in it to add xdp-port to",
		}}}
	}
	p := &place{text: text, start: documentStart(text), plugins: plugins.elements()}
	for _, plugin := range p.plugins {
		if kind, _ := plugin.at("type").text(); kind == PluginType {
			p.entry = plugin // of several the last is in force
		}
	}
	return p, nil
}

func (p *place) begin(v *value) int { return p.start + int(v.offset) }
func (p *place) end(v *value) int   { return p.start + int(v.offset) + len(v.raw) }

// put writes the entry as it is given.
func (p *place) put(entry []byte) []byte {
	if p.entry != nil {
		return slices.Concat(p.text[:p.begin(p.entry)], entry, p.text[p.end(p.entry):])
	}
	last := p.plugins[len(p.plugins)-1]
	return slices.Concat(p.text[:p.end(last)], []byte(","), p.space(last), entry, p.text[p.end(last):])
}

// cut takes the entry out, and the comma that sets it off.
func (p *place) cut() []byte {
	index := p.entry.index
	switch {
	case index > 0:
		return slices.Concat(p.text[:p.end(p.plugins[index-1])], p.text[p.end(p.entry):])
	case len(p.plugins) > 1:
		return slices.Concat(p.text[:p.begin(p.entry)], p.text[p.begin(p.plugins[1]):])
	}
	return slices.Concat(p.text[:p.begin(p.entry)], p.text[p.end(p.entry):])
}

// space is the white space in front of a plugin.
func (p *place) space(plugin *value) []byte {
	before := p.text[:p.begin(plugin)]
	return before[len(bytes.TrimRight(before, " \t\r\n")):]
}

// format gives an entry its type and the indentation of the other plugins; on
// one line where the whole list is.
func (p *place) format(entry []byte) ([]byte, error) {
	document, err := parseDocument(entry)
	if err != nil {
		return nil, fmt.Errorf("xdp-port's entry: %w", err)
	}
	text := document.withType()
	if !bytes.ContainsRune(bytes.TrimSpace(p.text), '\n') {
		var line bytes.Buffer
		err := json.Compact(&line, text)
		return line.Bytes(), err
	}
	last := p.plugins[len(p.plugins)-1]
	line := p.text[bytes.LastIndexByte(p.text[:p.begin(last)], '\n')+1:]
	indentation := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	return bytes.ReplaceAll(text, []byte("\n"), slices.Concat([]byte("\n"), indentation)), nil
}

// withType returns the text of an entry with the type of plugin as its first
// member, unless it has one, set off as the others are.
func (v *value) withType() []byte {
	if v.at("type") != nil {
		return v.raw
	}
	kind := fmt.Appendf(nil, "%q: %q", "type", PluginType)
	members := v.members()
	if len(members) == 0 {
		return slices.Concat([]byte("{ "), kind, []byte(" }"))
	}
	inside := v.raw[1:]
	space := inside[:len(inside)-len(bytes.TrimLeft(inside, " \t\r\n"))]
	between := space
	if len(space) == 0 {
		between = []byte(" ")
	}
	return slices.Concat([]byte("{"), space, kind, []byte(","), between, inside[len(space):])
}
