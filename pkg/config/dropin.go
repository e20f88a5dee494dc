package config

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// DropIn is a file with one plugin, which libcni 1.3 and later puts behind those
// in the list: NAME/*.conf beside the conflist of the network NAME.
type DropIn struct {
	Path string
	Text []byte
}

// DropInFolder returns the name of the folder with a list's drop-ins; empty if the
// list takes none.
func DropInFolder(list []byte) string {
	var l struct {
		Name                   string
		LoadOnlyInlinedPlugins any
	}
	if json.Unmarshal(list, &l) != nil || l.LoadOnlyInlinedPlugins == true || l.LoadOnlyInlinedPlugins == "true" {
		return ""
	}
	if strings.Contains(l.Name, "/") || l.Name == "." || l.Name == ".." {
		return "" // no name of a network, and not to be led out of the folder by
	}
	return l.Name
}

// IsEntry tells whether the drop-in is of xdp-port.
func (d DropIn) IsEntry() bool {
	document, err := parseDocument(d.Text)
	if err != nil {
		return false
	}
	kind, _ := document.at("type").text()
	return kind == PluginType
}

// WithText returns the drop-in with another entry, which gets its type if it has
// none.
func (d DropIn) WithText(entry []byte) (DropIn, error) {
	document, err := parseDocument(entry)
	if err != nil {
		return DropIn{}, err
	}
	d.Text = append(document.withType(), '\n')
	return d, nil
}

// Inlined is a list with its drop-ins among its plugins, as runtimes make it.
type Inlined struct {
	Text  []byte
	parts []inlinedPart // in the order of their lines
}

// inlinedPart says whose a part of the text is, from a line to the next part.
type inlinedPart struct {
	path string   // empty: the list's own
	line int      // in Inlined.Text, from 1
	own  Position // where it begins in the file
}

// Inline puts the drop-ins behind the plugins of a list. Each begins on a line of
// its own, so that mistakes can be located.
func Inline(list []byte, dropIns []DropIn) Inlined {
	document, err := parseDocument(list)
	if err != nil || len(dropIns) == 0 {
		return Inlined{Text: list}
	}
	head, tail, first := document.openList(list)
	if head == nil {
		return Inlined{Text: list}
	}
	in := Inlined{Text: slices.Clone(head)}
	for _, dropIn := range dropIns {
		if !first {
			in.Text = append(in.Text, ',')
		}
		first = false
		in.Text = append(in.Text, '\n')
		in.parts = append(in.parts, inlinedPart{dropIn.Path, lineCount(in.Text), Position{1, 1}})
		in.Text = append(in.Text, dropIn.Text...)
	}
	in.Text = append(in.Text, '\n')
	in.parts = append(in.parts, inlinedPart{"", lineCount(in.Text), positionAt(head, len(head))})
	in.Text = append(in.Text, tail...)
	return in
}

// openList cuts the text of a list where another plugin is to go. head is nil if
// there is no place for one; empty tells that none comes before it.
func (v *value) openList(text []byte) (head, tail []byte, empty bool) {
	start := documentStart(text)
	plugins := v.at("plugins")
	switch {
	case plugins == nil:
		end := start + len(v.raw) - 1
		head = slices.Clone(text[:end])
		if len(v.members()) > 0 {
			head = append(head, ',')
		}
		return append(head, []byte(`"plugins":[`)...), slices.Concat([]byte("]"), text[end:]), true
	case !plugins.isList():
		return nil, nil, false
	}
	end := start + int(plugins.offset) + len(plugins.raw) - 1
	return text[:end], text[end:], len(plugins.elements()) == 0
}

func lineCount(text []byte) int { return bytes.Count(text, []byte("\n")) + 1 }

// Locate returns the drop-in that a place is in, empty for the list's own file,
// and the place there.
func (in Inlined) Locate(at Position) (path string, place Position) {
	for _, part := range slices.Backward(in.parts) {
		if at.Line < part.line {
			continue
		}
		if at.Line == part.line {
			at.Column += part.own.Column - 1
		}
		at.Line += part.own.Line - part.line
		return part.path, at
	}
	return "", at
}
