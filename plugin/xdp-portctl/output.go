package main

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// The formats of -o.
const (
	formatTable = "table"
	formatJSON  = "json"
)

var formats = []string{formatTable, formatJSON}

func (t *tool) wantsJSON() bool { return t.format == formatJSON }

// schema is what each JSON document begins with, also each line of a stream.
type schema struct {
	Version int `json:"schemaVersion"`
}

// schemaNow is the schema of docs/json.md. Its version goes up where a key goes
// away or gets another meaning; new keys do not count.
var schemaNow = schema{Version: 1}

// printJSON prints a value that has the schema as one JSON document.
func (t *tool) printJSON(value any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// coloured tells whether to use colours: on a terminal, unless the user says no
// (https://no-color.org).
func (t *tool) coloured() bool {
	return t.out.isTerminal() && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint returns the text in a colour, if the output has colours.
func (t *tool) paint(colour text.Color, s string) string {
	if !t.coloured() {
		return s
	}
	text.EnableColors()
	return colour.Sprint(s)
}

// newTable makes a table without lines, whose numbers are to the right.
func (t *tool) newTable(header ...any) table.Writer {
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatUpper
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	w.AppendHeader(header)
	return w
}

// rightAligned aligns columns, counted from 1.
func rightAligned(columns ...int) []table.ColumnConfig {
	var configs []table.ColumnConfig
	for _, column := range columns {
		configs = append(configs, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

// printTable prints a table with its line end.
func (t *tool) printTable(w table.Writer) error {
	_, err := io.WriteString(t.out, w.Render()+"\n")
	return err
}

// idLength is how much of an ID is shown where there is no room, as docker does.
const idLength = 12

func shortID(id string) string {
	return id[:min(len(id), idLength)]
}

// age returns a time span in its largest unit: "3d".
func age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	switch d := max(0, time.Since(since)); { // the clock may have been set back
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	default:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
