package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
)

// bench is one run.
type bench struct {
	ctx context.Context
	effort
	core *traffic.Core
	out  *result.Result
	undo []func() error
	pods int // number of pods so far, for their names
}

// later makes finish call a function. The last one is called first.
func (b *bench) later(undo func() error) { b.undo = append(b.undo, undo) }

// finish calls the functions of later.
func (b *bench) finish() error {
	var errs []error
	for _, undo := range slices.Backward(b.undo) {
		errs = append(errs, undo())
	}
	b.undo = nil
	return errors.Join(errs...)
}

// effort is the size of a run.
type effort struct {
	// scale is the factor that a run is smaller than a full one by.
	scale int
	// least is the minimum of rounds, and warmUps the number of rounds that do not count.
	least, warmUps int
}

var (
	fullEffort  = effort{scale: 1, least: 3, warmUps: 1}
	quickEffort = effort{scale: 5, least: 3, warmUps: 1}
)

// less scales down a number of rounds or containers.
func (e effort) less(full int) int { return max(e.least, full/e.scale) }

// lessWork scales down the work of one sample, but not below what clocks can measure.
func (e effort) lessWork(full int) int { return max(200, full/e.scale) }

// contender is one side of a comparison.
type contender struct {
	name string
	// sample makes one measurement.
	sample  func() (float64, error)
	samples result.Series
}

// takeTurns lets each contender make one measurement per round, A B C A B C, because the speed of a
// machine drifts. The first round warms up and does not count.
func (b *bench) takeTurns(rounds int, contenders []*contender) error {
	for round := range b.warmUps + rounds {
		for _, c := range contenders {
			if err := b.ctx.Err(); err != nil {
				return err
			}
			sample, err := c.sample()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round >= b.warmUps {
				c.samples = append(c.samples, sample)
			}
		}
	}
	return nil
}

// report prints and keeps a table of the contenders. If base is not nil, it compares rows with base
// round by round.
func (b *bench) report(table result.Table, contenders []*contender, base *contender) {
	for _, c := range contenders {
		row := result.Row{Name: c.name, Value: c.samples.Spread(), Samples: c.samples}
		if base != nil && c != base {
			table.Base = base.name
			ratio := c.samples.Over(base.samples).Spread()
			row.Ratio = &ratio
			if table.Overhead != "" {
				overhead := c.samples.Minus(base.samples).Spread()
				row.Overhead = &overhead
			}
		}
		table.Rows = append(table.Rows, row)
	}
	table.Print(os.Stdout)
	b.out.Tables = append(b.out.Tables, table)
}

// claim keeps a requirement for the product and its measurement.
func (b *bench) claim(c result.Claim, measured result.Spread) {
	c.Measured = measured
	b.out.Claims = append(b.out.Claims, c)
}

// ratio compares two contenders round by round.
func ratio(of, to *contender) result.Spread { return of.samples.Over(to.samples).Spread() }

// overheadRatio compares the overhead of two contenders over a third one.
func overheadRatio(of, to, base *contender) result.Spread {
	return result.OverheadRatio(of.samples, to.samples, base.samples)
}

// find returns the contender with a name.
func find(contenders []*contender, name string) *contender {
	for _, c := range contenders {
		if c.name == name {
			return c
		}
	}
	panic("no contender is called " + name)
}
