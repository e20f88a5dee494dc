package terminal

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Width is the number of columns that a table fits into unless it is wide.
const Width = 80

// Column describes a column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Kind is a set of properties of a column.
type Kind uint8

// The properties of columns.
const (
	Right Kind = 1 << iota // aligned to the right, for numbers
	Wide                   // shown only in a wide table
	Cuts                   // cut if the table is too wide
	Wraps                  // continued in the next line if the table is too wide

	shrinks = Cuts | Wraps
)

// Table is a table without lines. Each row has a cell for each column, shown or not.
type Table struct {
	columns []Column
	rows    [][]string
	isWide  bool
}

// NewTable returns a table without rows. A wide one shows all columns and may be wider than
// Width.
func NewTable(isWide bool, columns ...Column) *Table {
	return &Table{columns: columns, isWide: isWide}
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// IsWide reports whether the table shows all columns.
func (t *Table) IsWide() bool { return t.isWide }

// String returns the table without the last line end.
func (t *Table) String() string {
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", Gap
	style.Format.Header = text.FormatUpper
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	w.SetColumnConfigs(t.configs())
	w.AppendHeader(asRow(t.names()))
	for _, row := range t.rows {
		w.AppendRow(asRow(row))
	}
	return w.Render()
}

// Gap separates two columns. Text below a table is indented by it.
const Gap = "  "

func (t *Table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.Name
	}
	return names
}

func asRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i, cell := range cells {
		row[i] = cell
	}
	return row
}

// configs describes the columns to go-pretty, which limits widths but does not know which
// columns may shrink.
func (t *Table) configs() []table.ColumnConfig {
	widths := t.widths()
	configs := make([]table.ColumnConfig, len(t.columns))
	for i, c := range t.columns {
		configs[i] = table.ColumnConfig{Number: i + 1, Hidden: !t.shows(c), WidthMax: widths[i]}
		if c.Kind&Right != 0 {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		configs[i].WidthMaxEnforcer = text.WrapSoft
		if c.Kind&Cuts != 0 {
			configs[i].WidthMaxEnforcer = cut
		}
	}
	return configs
}

func (t *Table) shows(c Column) bool { return t.isWide || c.Kind&Wide == 0 }

// widths returns the widths of the columns. If the table is too wide, columns that may shrink
// do, the widest first. Addresses and numbers are never cut.
func (t *Table) widths() []int {
	widths := t.natural()
	for !t.isWide && t.total(widths) > Width {
		widest := -1
		for i, c := range t.columns {
			if t.shows(c) && c.Kind&shrinks != 0 && widths[i] > least(c) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// natural returns the width that each column takes if nothing shrinks.
func (t *Table) natural() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = len(c.Name)
	}
	for _, row := range t.rows {
		for i, cell := range row {
			for line := range strings.Lines(cell) {
				widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	return widths
}

func (t *Table) total(widths []int) int {
	total := -len(Gap)
	for i, c := range t.columns {
		if t.shows(c) {
			total += widths[i] + len(Gap)
		}
	}
	return total
}

// least returns how narrow a column may become.
func least(c Column) int {
	const narrowest = 8
	return max(narrowest, len(c.Name))
}

// cut shortens a text that is too long and marks the place.
func cut(s string, width int) string { return text.Snip(s, width, "…") }

// Wrap breaks a text into lines that fit below a table. Lines after the first are indented.
func Wrap(s string) string {
	lines := strings.Split(text.WrapSoft(s, Width-len(Gap)), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n"+Gap)
}

// WrapAt breaks a text into lines of at most this width.
func WrapAt(s string, width int) string { return text.WrapSoft(s, width) }
