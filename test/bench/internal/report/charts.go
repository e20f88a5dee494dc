package report

import (
	"fmt"
	"slices"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

// chart compares contenders by bars. It is what a picture shows, without a layout.
type chart struct {
	title  string
	groups []group
}

// group has the bars of a contender, one for each series that has it.
type group struct {
	label string
	own   bool // xdp-port's
	bars  []bar
}

// bar is a ratio, and the measured value in words.
type bar struct {
	series int
	ratio  result.Spread
	words  string
}

// series are the kinds of bars in a picture.
var series = []string{"IPv4", "IPv6"}

// panel says what a chart takes from a run.
type panel struct {
	title string
	// tables have the samples of each series. A chart without series has only the first.
	tables []string
	// overhead is set if contenders are compared by their overhead over the table's base.
	overhead bool
	// reference is the row that ratios relate to.
	reference string
	rows      []line
}

// line is a row of a table, with its label in the chart.
type line struct {
	label, row string
	own        bool
}

var panels = []panel{
	{
		title: "Overhead for a small UDP packet, relative to nft DNAT", overhead: true, reference: "nft DNAT",
		tables: []string{"datagrams-single", "datagrams-single-ipv6"}, rows: rewriting,
	},
	{
		title: "Overhead for the first packet of a flow, relative to nft DNAT", overhead: true, reference: "nft DNAT",
		tables: []string{"new-flows", "new-flows-ipv6"}, rows: keepingFlows,
	},
	{
		title: "Rate of a TCP stream, relative to nft DNAT (more is better)", reference: "nft DNAT",
		tables: []string{"bulk-out", "bulk-out-ipv6"}, rows: rewriting,
	},
	{
		title: "Cost of a dropped UDP packet, relative to nft netdev ingress", reference: "nft, netdev ingress",
		tables: []string{"drops", "drops-ipv6"},
		rows: []line{
			{"xdp-port, auto, drops only", "xdp-port, auto, rules that only drop", true},
			{"xdp-port, auto", "xdp-port, auto, rules that also rewrite", true},
			{"xdp-port, tc", "xdp-port, tc, rules that also rewrite", true},
			{"nft, netdev ingress", "nft, netdev ingress", false},
			{"nft, raw prerouting", "nft, raw prerouting", false},
			{"a program that drops, tc", "(a tc program that drops)", false},
		},
	},
	{
		title: "Time of ADD, relative to portmap with nftables", reference: portmapNFT, tables: []string{"add"}, rows: processes,
	},
	{
		title: "Time of DEL, relative to portmap with nftables", reference: portmapNFT, tables: []string{"del"}, rows: processes,
	},
}

const portmapNFT = "portmap, nftables"

var (
	keepingFlows = []line{
		{"xdp-port, auto", "xdp-port, auto", true},
		{"xdp-port, tc", "xdp-port, tc", true},
		{"xdp-port, native", "xdp-port, native", true},
		{"nft DNAT", "nft DNAT", false},
		{"iptables-nft DNAT", "iptables-nft DNAT", false},
	}
	rewriting = slices.Concat(keepingFlows, []line{{"the tutorial's XDP", "the tutorial's XDP", false}})
	processes = []line{
		{"xdp-port, clsact", "xdp-port, clsact", true},
		{"xdp-port, clsact, first", "xdp-port, clsact, the first one", true},
		{"xdp-port, tcx", "xdp-port, tcx", true},
		{"xdp-port, tcx, first", "xdp-port, tcx, the first one", true},
		{portmapNFT, portmapNFT, false},
		{"portmap, iptables", "portmap, iptables", false},
	}
)

// chartsOf makes the charts of a run.
func chartsOf(found *result.Result) (charts []chart, err error) {
	for _, p := range panels {
		c, err := p.of(found)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.title, err)
		}
		charts = append(charts, c)
	}
	return charts, nil
}

// of leaves out the bars of contenders that a table does not have.
func (p *panel) of(found *result.Result) (chart, error) {
	c := chart{title: p.title}
	for _, l := range p.rows {
		g := group{label: l.label, own: l.own}
		for i, name := range p.tables {
			table := found.Table(name)
			if table == nil || table.Row(p.reference) == nil || p.overhead && table.Row(table.Base) == nil {
				return c, fmt.Errorf("the run has no complete table %q", name)
			}
			if row := table.Row(l.row); row != nil {
				g.bars = append(g.bars, p.barOf(i, table, row))
			}
		}
		if len(g.bars) == 0 {
			return c, fmt.Errorf("the run has no row %q", l.row)
		}
		c.groups = append(c.groups, g)
	}
	return c, nil
}

func (p *panel) barOf(series int, table *result.Table, row *result.Row) bar {
	reference := table.Row(p.reference)
	if !p.overhead {
		return bar{series, row.Samples.Over(reference.Samples).Spread(), result.Number(row.Value.Median) + " " + table.UnitWord()}
	}
	ratio := result.OverheadRatio(row.Samples, reference.Samples, table.Row(table.Base).Samples)
	return bar{series, ratio, result.Number(row.Overhead.Median) + " " + table.Overhead}
}
