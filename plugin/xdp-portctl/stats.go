package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/cli"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/terminal"
	"github.com/xdp-port/xdp-port/pkg/trace"
)

// statsOptions are the flags of stats.
type statsOptions struct {
	container string
	order     string
	interval  time.Duration
	watch     bool
	count     int
}

func (t *tool) stats() *cobra.Command {
	var o statsOptions
	command := &cobra.Command{
		Use:   "stats [CONTAINER]",
		Short: "Show counters and rates, once or continuously",
		Long: `Show the counters of all containers, or of one, and of each rule, with rates per
second over an interval, the busiest first. Counters start at ADD and survive a
change of the rules.

With --watch the view is redrawn each interval. Press q to quit, s to change the
order. If the output is a pipe, or TERM is dumb, each report follows the one before;
with -o json each is one line. -o wide adds counters and rates.`,
		Example: `  xdp-portctl stats
  xdp-portctl stats 3f4a --watch
  xdp-portctl stats --sort dropped --interval 5s
  xdp-portctl stats --interval 0 -o json | jq .total`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeContainer,
		PreRunE: func(_ *cobra.Command, args []string) error {
			o.container = strings.Join(args, "")
			return o.check()
		},
		RunE: func(command *cobra.Command, _ []string) error {
			if o.watch {
				return t.watchStats(command.Context(), o)
			}
			return t.statsOnce(command.Context(), o)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&o.watch, "watch", "w", false, "repeat each interval")
	flags.DurationVarP(&o.interval, "interval", "i", time.Second, "time over which rates are measured; 0 prints no rates, at once")
	flags.StringVarP(&o.order, "sort", "s", string(inspect.ByRate), "sort by "+orders(", "))
	flags.IntVarP(&o.count, "count", "n", 0, "end --watch after `N` reports")
	_ = command.RegisterFlagCompletionFunc("sort",
		cobra.FixedCompletions(strings.Fields(orders(" ")), cobra.ShellCompDirectiveNoFileComp))
	return command
}

func orders(separator string) string {
	var words []string
	for _, order := range inspect.Orders {
		words = append(words, string(order))
	}
	return strings.Join(words, separator)
}

func (o *statsOptions) check() error {
	switch {
	case !slices.Contains(inspect.Orders, inspect.Order(o.order)):
		return fmt.Errorf("--sort %s: there is %s", cli.Quote(o.order), orders(", "))
	case o.interval < 0 || o.watch && o.interval < 100*time.Millisecond:
		return fmt.Errorf("--interval %s is too short (at least 100ms)", o.interval)
	case o.count < 0:
		return fmt.Errorf("--count %d is less than 0", o.count)
	}
	return nil
}

func (t *tool) statsOnce(ctx context.Context, o statsOptions) error {
	var sampler inspect.Sampler
	stats, unread, err := sampler.Read(o.container)
	if err != nil {
		return err
	}
	if o.interval > 0 && len(stats.Attachments) > 0 {
		if !sleep(ctx, o.interval) {
			return nil
		}
		if stats, unread, err = sampler.Read(o.container); err != nil {
			return err
		}
	}
	return errors.Join(t.printStats(&stats, inspect.Order(o.order)), unread)
}

// sleep waits and reports whether the time passed without an interrupt.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

type versionedStats struct {
	schema
	*inspect.Stats
}

func (t *tool) printStats(stats *inspect.Stats, order inspect.Order) error {
	stats.Sort(order)
	if t.wantsJSON() {
		return t.printJSON(versionedStats{schemaNow, stats})
	}
	if len(stats.Attachments) == 0 {
		return t.printNothing()
	}
	_, err := fmt.Fprintln(t.out, t.statsText(stats, 0))
	return err
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

// watchPiped prints reports one after another, for an output that cannot be redrawn.
func (t *tool) watchPiped(ctx context.Context, o statsOptions) error {
	var sampler inspect.Sampler
	for n := 1; ; n++ {
		stats, _, err := sampler.Read(o.container)
		if err != nil {
			return err
		}
		stats.Sort(inspect.Order(o.order))
		if t.wantsJSON() {
			err = json.NewEncoder(t.out).Encode(versionedStats{schemaNow, &stats})
		} else {
			_, err = fmt.Fprintf(t.out, "%s\n%s\n\n", stats.Time.Format(time.TimeOnly), t.statsText(&stats, 0))
		}
		if err != nil || n == o.count || !sleep(ctx, o.interval) {
			return err
		}
	}
}
