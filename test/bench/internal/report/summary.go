package report

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

// column is a column of a summary: the figure of each contender in a table.
type column struct {
	title string
	table string
	pick  func(*result.Row) *result.Spread
}

func overhead(row *result.Row) *result.Spread { return row.Overhead }
func ratio(row *result.Row) *result.Spread    { return row.Ratio }
func value(row *result.Row) *result.Spread    { return &row.Value }

var summaries = [][]column{
	{
		{"overhead for a small UDP packet, ns", "datagrams-single", overhead},
		{"the same in IPv6, ns", "datagrams-single-ipv6", overhead},
		{"overhead for the first packet of a flow, ns", "new-flows", overhead},
		{"the same in IPv6, ns", "new-flows-ipv6", overhead},
		{"one TCP stream from the container, relative to nothing attached", "bulk-out", ratio},
		{"the same in IPv6", "bulk-out-ipv6", ratio},
	},
	{
		{"cost of a dropped UDP packet, ns", "drops", value},
		{"relative to nft, netdev ingress", "drops", ratio},
		{"the same in IPv6, ns", "drops-ipv6", value},
		{"relative to nft, netdev ingress", "drops-ipv6", ratio},
	},
	{
		{"ADD, ms", "add", value},
		{"DEL, ms", "del", value},
	},
}

// summary is the README's summary of a run.
func summary(found *result.Result) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "![What packets and containers cost](docs/bench.svg)\n\n")
	for _, columns := range summaries {
		writeSummary(&out, found, columns)
		fmt.Fprintln(&out)
	}
	met := 0
	for i := range found.Claims {
		if found.Claims[i].Met() {
			met++
		}
	}
	fmt.Fprintf(&out, "Medians of %s (%s). Of the bounds that we want to keep to, %d are met and %d are not: [docs/bench.md](docs/bench.md).\n",
		strings.Split(found.Date, "T")[0], found.Machine, met, len(found.Claims)-met)
	return out.Bytes()
}

// writeSummary writes a line for each contender of the first column that has another figure, too.
func writeSummary(out *bytes.Buffer, found *result.Result, columns []column) {
	fmt.Fprint(out, "| |")
	for _, c := range columns {
		fmt.Fprintf(out, " %s |", c.title)
	}
	fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("---|", len(columns)))
	first := found.Table(columns[0].table)
	if first == nil {
		return
	}
	for i := range first.Rows {
		name := first.Rows[i].Name
		if row := lineOf(found, columns, name); row != "" {
			fmt.Fprintf(out, "| %s |%s\n", name, row)
		}
	}
}

// lineOf leaves out contenders with fewer than two figures: they are of interest only in the tables.
func lineOf(found *result.Result, columns []column, name string) string {
	var line strings.Builder
	known := 0
	for _, c := range columns {
		row := found.Table(c.table).Row(name)
		if row == nil || c.pick(row) == nil {
			line.WriteString(" |")
			continue
		}
		known++
		fmt.Fprintf(&line, " %s |", result.Number(c.pick(row).Median))
	}
	if known < 2 {
		return ""
	}
	return line.String()
}
