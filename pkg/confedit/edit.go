// Package confedit puts the entry of xdp-port into the text of a network configuration list,
// and removes it again.
//
// It changes nothing else in the text, not even white space. The plugins of a network can
// also be in drop-in files beside its list, see DropIn.
package confedit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// WithEntry returns the text of a list with an entry. The entry replaces the present one, or
// follows the last plugin. It keeps its own spelling except for the indentation, and gets
// its type if that is missing.
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

// WithSameEntry returns the text of a list with the entry of another list, in the same
// spelling. It returns nil if the other list has no entry.
func WithSameEntry(list, other []byte) ([]byte, error) {
	from, err := findPlace(other)
	if err != nil || from.entry == nil {
		return nil, err
	}
	place, err := findPlace(list)
	if err != nil {
		return nil, err
	}
	return place.put(from.entry.Raw()), nil
}

// HasEntry reports whether xdp-port is one of the plugins of a list.
func HasEntry(list []byte) (bool, error) {
	place, err := findPlace(list)
	return err == nil && place.entry != nil, err
}

// WithoutEntry returns the text of a list without its entries of xdp-port.
func WithoutEntry(list []byte) ([]byte, error) {
	for {
		place, err := findPlace(list)
		if err != nil || place.entry == nil {
			return list, err
		}
		list = place.cut()
	}
}

// place is the place of the entry in the text of a list.
type place struct {
	text    []byte
	start   int // the offset of the document in the text
	plugins []*jsondoc.Value
	entry   *jsondoc.Value // nil if the list has none
}

func findPlace(text []byte) (*place, error) {
	document, err := jsondoc.Parse(text)
	if err != nil {
		return nil, err
	}
	plugins := document.At("plugins")
	if plugins == nil || len(plugins.Elements()) == 0 {
		return nil, &jsondoc.Error{Place: document.Place(), Problem: "has no list of plugins to add xdp-port to"}
	}
	p := &place{text: text, start: jsondoc.Start(text), plugins: plugins.Elements()}
	for _, plugin := range p.plugins {
		if kind, _ := plugin.At("type").Text(); kind == config.PluginType {
			p.entry = plugin // the last one is in force
		}
	}
	return p, nil
}

func (p *place) begin(v *jsondoc.Value) int { return p.start + v.Offset() }
func (p *place) end(v *jsondoc.Value) int   { return p.begin(v) + len(v.Raw()) }

// put writes the entry in its own spelling.
func (p *place) put(entry []byte) []byte {
	if p.entry != nil {
		return slices.Concat(p.text[:p.begin(p.entry)], entry, p.text[p.end(p.entry):])
	}
	last := p.plugins[len(p.plugins)-1]
	return slices.Concat(p.text[:p.end(last)], []byte(","), p.space(last), entry, p.text[p.end(last):])
}

// cut removes the entry and its comma.
func (p *place) cut() []byte {
	index := p.entry.Index()
	switch {
	case index > 0:
		return slices.Concat(p.text[:p.end(p.plugins[index-1])], p.text[p.end(p.entry):])
	case len(p.plugins) > 1:
		return slices.Concat(p.text[:p.begin(p.entry)], p.text[p.begin(p.plugins[1]):])
	}
	return slices.Concat(p.text[:p.begin(p.entry)], p.text[p.end(p.entry):])
}

// space returns the white space before a plugin.
func (p *place) space(plugin *jsondoc.Value) []byte {
	before := p.text[:p.begin(plugin)]
	return before[len(bytes.TrimRight(before, " \t\r\n")):]
}

// format gives an entry its type and the indentation of the other plugins. In a list on one
// line it puts the entry on one line, too.
func (p *place) format(entry []byte) ([]byte, error) {
	document, err := jsondoc.Parse(entry)
	if err != nil {
		return nil, fmt.Errorf("xdp-port's entry: %w", err)
	}
	text := withType(document)
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

// withType returns the text of an entry. It adds the type as the first member, with the
// white space of the others, if the entry has none.
func withType(v *jsondoc.Value) []byte {
	if v.At("type") != nil {
		return v.Raw()
	}
	kind := fmt.Appendf(nil, "%q: %q", "type", config.PluginType)
	members := v.Members()
	if len(members) == 0 {
		return slices.Concat([]byte("{ "), kind, []byte(" }"))
	}
	inside := v.Raw()[1:]
	space := inside[:len(inside)-len(bytes.TrimLeft(inside, " \t\r\n"))]
	between := space
	if len(space) == 0 {
		between = []byte(" ")
	}
	return slices.Concat([]byte("{"), space, kind, []byte(","), between, inside[len(space):])
}
