package main

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/xdp-port/xdp-port/pkg/terminal"
)

// tool is the state that all commands share.
type tool struct {
	in     io.Reader
	out    *terminal.Printer
	err    *terminal.Printer
	format string
}

// errFound makes a command exit with 1 without a message: its output says what is wrong.
var errFound = errors.New("problems found")

// The formats of -o.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
)

var formats = []string{formatTable, formatWide, formatJSON}

func (t *tool) wantsJSON() bool { return t.format == formatJSON }

// schema begins each JSON document, and each line of a stream.
type schema struct {
	Version int `json:"schemaVersion"`
}

// schemaNow is the schema of docs/json.md. Its version increases if a key disappears or
// changes its meaning, not if a key is added.
var schemaNow = schema{Version: 1}

// printJSON prints one JSON document. The value must contain the schema.
func (t *tool) printJSON(value any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// The properties of columns.
const (
	right = terminal.Right
	wide  = terminal.Wide
	cuts  = terminal.Cuts
	wraps = terminal.Wraps
)

// column makes a column of a table.
func column(name string, kind terminal.Kind) terminal.Column {
	return terminal.Column{Name: name, Kind: kind}
}

func (t *tool) newTable(columns ...terminal.Column) *terminal.Table {
	return terminal.NewTable(t.format == formatWide, columns...)
}

// printTable prints a table with its line end.
func (t *tool) printTable(table *terminal.Table) error {
	_, err := io.WriteString(t.out, table.String()+"\n")
	return err
}

// wrap breaks a text into lines that fit below a table.
func (t *tool) wrap(s string) string {
	if t.format == formatWide {
		return s
	}
	return terminal.Wrap(s)
}

// idLength is how much of an ID is printed where there is little room, as docker does.
const idLength = 12

func shortID(id string) string {
	return id[:min(len(id), idLength)]
}
