package main

import (
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
)

// The formats of -o.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
)

var formats = []string{formatTable, formatWide, formatJSON}

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
	return t.out.isTerminal() && os.Getenv("NO_COLOR") == "" && !isDumb()
}

// isDumb tells whether the terminal can only show one line after the other.
func isDumb() bool { return os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" }

// paint returns the text in a colour, if the output has colours.
func (t *tool) paint(colour text.Color, s string) string {
	if !t.coloured() {
		return s
	}
	text.EnableColors()
	return colour.Sprint(s)
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
