package confedit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// DropIn is a file with one plugin. libcni 1.3 and later appends the drop-ins NAME/*.conf
// beside a conflist to the plugins of the network NAME.
type DropIn struct {
	Path string
	Text []byte
}

// DropInFolder returns the name of the folder with a list's drop-ins, or empty if the list
// has no drop-ins.
func DropInFolder(list []byte) string {
	var l struct {
		Name                   string
		LoadOnlyInlinedPlugins any
	}
	if json.Unmarshal(list, &l) != nil || l.LoadOnlyInlinedPlugins == true || l.LoadOnlyInlinedPlugins == "true" {
		return ""
	}
	if strings.Contains(l.Name, "/") || l.Name == "." || l.Name == ".." {
		return "" // not a network name, and it could lead out of the folder
	}
	return l.Name
}

// IsEntry reports whether the drop-in is an entry of xdp-port.
func (d DropIn) IsEntry() bool {
	document, err := jsondoc.Parse(d.Text)
	if err != nil {
		return false
	}
	kind, _ := document.At("type").Text()
	return kind == config.PluginType
}

// WithText returns the drop-in with another entry, which gets its type if that is missing.
func (d DropIn) WithText(entry []byte) (DropIn, error) {
	document, err := jsondoc.Parse(entry)
	if err != nil {
		return DropIn{}, err
	}
	d.Text = append(withType(document), '\n')
	return d, nil
}

// Inlined is a list with its drop-ins among its plugins, as runtimes read it.
type Inlined struct {
	Text  []byte
	parts []inlinedPart // in the order of their lines
}

// inlinedPart is the source of the text from a line to the next part.
type inlinedPart struct {
	path string           // empty for the list itself
	line int              // in Inlined.Text, from 1
	own  jsondoc.Position // its beginning in the file
}

// Inline appends the drop-ins to the plugins of a list. Each begins on a new line, so that
// Locate can find places in it.
func Inline(list []byte, dropIns []DropIn) Inlined {
	document, err := jsondoc.Parse(list)
	if err != nil || len(dropIns) == 0 {
		return Inlined{Text: list}
	}
	head, tail, first := openList(document, list)
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
		in.parts = append(in.parts, inlinedPart{dropIn.Path, lineCount(in.Text), jsondoc.Position{Line: 1, Column: 1}})
		in.Text = append(in.Text, dropIn.Text...)
	}
	in.Text = append(in.Text, '\n')
	in.parts = append(in.parts, inlinedPart{"", lineCount(in.Text), jsondoc.PositionAt(head, len(head))})
	in.Text = append(in.Text, tail...)
	return in
}

// openList cuts the text of a list after its last plugin. head is nil if there is no list of
// plugins. empty reports that the list has no plugin.
func openList(v *jsondoc.Value, text []byte) (head, tail []byte, empty bool) {
	start := jsondoc.Start(text)
	plugins := v.At("plugins")
	switch {
	case plugins == nil:
		end := start + len(v.Raw()) - 1
		head = slices.Clone(text[:end])
		if len(v.Members()) > 0 {
			head = append(head, ',')
		}
		return append(head, []byte(`"plugins":[`)...), slices.Concat([]byte("]"), text[end:]), true
	case !plugins.IsList():
		return nil, nil, false
	}
	end := start + plugins.Offset() + len(plugins.Raw()) - 1
	return text[:end], text[end:], len(plugins.Elements()) == 0
}

func lineCount(text []byte) int { return bytes.Count(text, []byte("\n")) + 1 }

// Locate returns the drop-in that contains a place, or empty for the list itself, and the
// place in that file.
func (in Inlined) Locate(at jsondoc.Position) (path string, place jsondoc.Position) {
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
