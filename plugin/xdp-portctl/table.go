package main

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// tableWidth is what tables fit into, on every terminal: more is for -o wide.
const tableWidth = 80

// column is one of a table.
type column struct {
	name string
	kind kind
}

// kind is what is special about a column.
type kind uint8

const (
	right  kind = 1 << iota // numbers
	wide                    // only with -o wide
	cuts                    // can be cut where there is no room
	wraps                   // goes on in the next line where there is no room
	shrunk = cuts | wraps
)

// grid is a table without lines. Rows have all columns, shown or not.
type grid struct {
	columns []column
	rows    [][]string
	isWide  bool
}

func (t *tool) newTable(columns ...column) *grid {
	return &grid{columns: columns, isWide: t.format == formatWide}
}

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

// printTable prints a table with its line end.
func (t *tool) printTable(g *grid) error {
	_, err := io.WriteString(t.out, g.String()+"\n")
	return err
}

// String is the table without the last line end.
func (g *grid) String() string {
	w := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", gap
	style.Format.Header = text.FormatUpper
	w.SetStyle(style)
	w.SuppressTrailingSpaces()
	w.SetColumnConfigs(g.configs())
	w.AppendHeader(asRow(g.names()))
	for _, row := range g.rows {
		w.AppendRow(asRow(row))
	}
	return w.Render()
}

// gap is between two columns.
const gap = "  "

func (g *grid) names() []string {
	names := make([]string, len(g.columns))
	for i, c := range g.columns {
		names[i] = c.name
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

// configs tells go-pretty about the columns. It knows of widths, but not which
// column can do with less.
func (g *grid) configs() []table.ColumnConfig {
	widths := g.widths()
	configs := make([]table.ColumnConfig, len(g.columns))
	for i, c := range g.columns {
		configs[i] = table.ColumnConfig{Number: i + 1, Hidden: !g.shows(c), WidthMax: widths[i]}
		if c.kind&right != 0 {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		configs[i].WidthMaxEnforcer = text.WrapSoft
		if c.kind&cuts != 0 {
			configs[i].WidthMaxEnforcer = shortened
		}
	}
	return configs
}

func (g *grid) shows(c column) bool { return g.isWide || c.kind&wide == 0 }

// widths are those of the columns. If they are too wide together, those that can
// shrink do, the widest first. Addresses and numbers are never cut.
func (g *grid) widths() []int {
	widths := g.natural()
	for !g.isWide && g.total(widths) > tableWidth {
		widest := -1
		for i, c := range g.columns {
			if g.shows(c) && c.kind&shrunk != 0 && widths[i] > g.least(c) && (widest < 0 || widths[i] > widths[widest]) {
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

// natural are the widths of the columns as they are.
func (g *grid) natural() []int {
	widths := make([]int, len(g.columns))
	for i, c := range g.columns {
		widths[i] = len(c.name)
	}
	for _, row := range g.rows {
		for i, cell := range row {
			for line := range strings.Lines(cell) {
				widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	return widths
}

func (g *grid) total(widths []int) int {
	total := -len(gap)
	for i, c := range g.columns {
		if g.shows(c) {
			total += widths[i] + len(gap)
		}
	}
	return total
}

// least is how narrow a column may become.
func (g *grid) least(c column) int {
	const least = 8
	return max(least, len(c.name))
}

// shortened is the beginning of a text that is too long, and says so.
func shortened(s string, width int) string { return text.Snip(s, width, "…") }

// wrapped is a text in lines that fit below a table.
func (t *tool) wrapped(s string) string {
	if t.format == formatWide {
		return s
	}
	lines := strings.Split(text.WrapSoft(s, tableWidth-len(gap)), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n"+gap)
}
