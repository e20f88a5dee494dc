package main

import (
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/terminal"
	"github.com/xdp-port/xdp-port/pkg/trace"
)

type versionedStats struct {
	schema
	*inspect.Stats
}

// statsText returns both tables with at most this many rows each; 0 is all.
func (t *tool) statsText(stats *inspect.Stats, rows int) string {
	return t.containerTable(stats, rows).String() + "\n\n" + t.ruleTable(stats, rows).String()
}

// containerTable begins with the columns that matter most: long numbers can push the last
// ones off the line.
func (t *tool) containerTable(stats *inspect.Stats, rows int) *terminal.Table {
	w := t.newTable(column("network", wide), column("container", 0), column("interface", 0), column("packets", right),
		column("pps", right), column("dropped", right), column("dropped/s", right|wide), column("rewritten", right),
		column("rewritten/s", right|wide), column("passed", right), column(trace.ReplyRestored.String(), right|wide),
		column(trace.ICMPErrorRestored.String(), right|wide), column("malformed", right|wide), column("ports moved", right|wide),
		column("live flows evicted", right|wide))
	for _, c := range first(stats.Attachments, rows) {
		n := &c.Counters
		w.Row(c.Network, shortID(c.Container), c.Interface, fmt.Sprint(c.Packets),
			rate(c.PacketRate), fmt.Sprint(n.Dropped), rate(c.DroppedRate), fmt.Sprint(n.Rewritten),
			rate(c.RewrittenRate), fmt.Sprint(n.Passed), fmt.Sprint(n.RepliesRestored),
			fmt.Sprint(n.ICMPErrorsRestored), fmt.Sprint(n.Malformed), fmt.Sprint(n.PortsMoved),
			fmt.Sprint(n.FlowsEvictedLive))
	}
	if n := &stats.Total; len(stats.Attachments) > 1 {
		w.Row("", "total", "", fmt.Sprint(n.Packets()),
			"", fmt.Sprint(n.Dropped), "", fmt.Sprint(n.Rewritten),
			"", fmt.Sprint(n.Passed), fmt.Sprint(n.RepliesRestored),
			fmt.Sprint(n.ICMPErrorsRestored), fmt.Sprint(n.Malformed), fmt.Sprint(n.PortsMoved),
			fmt.Sprint(n.FlowsEvictedLive))
	}
	return w
}

func (t *tool) ruleTable(stats *inspect.Stats, rows int) *terminal.Table {
	w := t.newTable(column("network", wide), column("container", 0), column("interface", 0), column("rule", cuts),
		column("packets", right), column("pps", right), column("bytes", right), column("bytes/s", right))
	for _, r := range first(stats.Rules, rows) {
		w.Row(r.Network, shortID(r.Container), r.Interface, r.Name,
			fmt.Sprint(r.Packets), rate(r.PacketRate), fmt.Sprint(r.Bytes), rate(r.ByteRate))
	}
	return w
}

func first[E any](list []E, rows int) []E {
	if rows > 0 {
		return list[:min(rows, len(list))]
	}
	return list
}

func rate(r float64) string { return fmt.Sprintf("%.0f", r) }
