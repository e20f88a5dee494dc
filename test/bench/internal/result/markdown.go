package result

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Print writes the table as Markdown that also reads well in a terminal.
func (t *Table) Print(out io.Writer) {
	fmt.Fprintf(out, "\n### %s\n\n", t.Title)
	rows := [][]string{t.header()}
	for i := range t.Rows {
		rows = append(rows, t.cells(&t.Rows[i]))
	}
	printGrid(out, rows)
	if t.Note != "" {
		fmt.Fprintf(out, "\n%s\n", t.Note)
	}
}

// UnitWord is the unit without "per packet".
func (t *Table) UnitWord() string {
	unit, _, _ := strings.Cut(t.Unit, " per ")
	return unit
}

func (t *Table) header() []string {
	header := []string{"", t.Unit}
	if t.Overhead != "" {
		header = append(header, "overhead, "+t.Overhead)
	}
	if t.Base != "" {
		header = append(header, "relative to "+t.Base)
	}
	return header
}

func (t *Table) cells(row *Row) []string {
	cells := []string{row.Name, row.Value.String()}
	for _, column := range []struct {
		shown bool
		value *Spread
	}{{t.Overhead != "", row.Overhead}, {t.Base != "", row.Ratio}} {
		switch {
		case !column.shown:
		case column.value == nil:
			cells = append(cells, "")
		default:
			cells = append(cells, column.value.String())
		}
	}
	return cells
}

// PrintClaims writes each requirement for the product next to its measurement.
func PrintClaims(out io.Writer, claims []Claim) {
	rows := [][]string{{"", "measured", "required", ""}}
	for i := range claims {
		c := &claims[i]
		rows = append(rows, []string{c.What, c.Measured.String() + c.suffix(), c.Limit(), c.Verdict()})
	}
	printGrid(out, rows)
}

// String is the median, with the quartiles if they differ.
func (s Spread) String() string {
	if Number(s.Low) == Number(s.Median) && Number(s.High) == Number(s.Median) {
		return Number(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", Number(s.Median), Number(s.Low), Number(s.High))
}

// Number formats a number with about three significant digits.
func Number(value float64) string {
	switch size := max(value, -value); {
	case size >= 100:
		return fmt.Sprintf("%.0f", value)
	case size >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}

func printGrid(out io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range rows {
		for column, cell := range row {
			fmt.Fprintf(out, "| %s%s ", cell, strings.Repeat(" ", widths[column]-utf8.RuneCountInString(cell)))
		}
		fmt.Fprintln(out, "|")
		if i == 0 {
			for _, width := range widths {
				fmt.Fprintf(out, "|%s", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(out, "|")
		}
	}
}
