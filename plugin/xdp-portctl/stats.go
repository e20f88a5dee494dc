package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

func (t *tool) stats() *cobra.Command {
	var o statsOptions
	command := &cobra.Command{
		Use:   "stats [CONTAINER]",
		Short: "Show counters and rates, once or continuously",
		Long: `Show the counters of all containers, or of one, and of each rule, with rates per
second over an interval, the busiest first. Counters start at ADD and survive a
change of the rules.

With --watch the view is redrawn each interval. Press q to quit, s to change the
order. If the output is a pipe, or TERM is dumb, reports are printed one after the
other. With -o json each report is one line. -o wide adds counters and rates.`,
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
