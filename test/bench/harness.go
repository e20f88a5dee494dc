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
	pods int // made so far, for their names
}

// later has something done when the comparison is over, the last one first.
func (b *bench) later(undo func() error) { b.undo = append(b.undo, undo) }

// finish does what was left for later.
func (b *bench) finish() error {
	var errs []error
	for _, undo := range slices.Backward(b.undo) {
		errs = append(errs, undo())
	}
	b.undo = nil
	return errors.Join(errs...)
}

// effort is how much a run does.
type effort struct {
	// scale is how many times less than in a full run.
	scale int
	// least is the least number of rounds, warmUps how many do not count.
	least, warmUps int
}

var (
	fullEffort  = effort{scale: 1, least: 3, warmUps: 1}
	quickEffort = effort{scale: 5, least: 3, warmUps: 1}
)

// less scales a number of rounds or containers down.
func (e effort) less(full int) int { return max(e.least, full/e.scale) }

// lessWork scales down what is done in one sample, to no less than clocks can
// tell from nothing.
func (e effort) lessWork(full int) int { return max(200, full/e.scale) }

// contender is somebody in a comparison.
type contender struct {
	name string
	// sample measures once.
	sample  func() (float64, error)
	samples result.Series
}

// takeTurns has each contender measure once a round, A B C A B C, since the
// speed of a machine drifts. The first round warms up and does not count.
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

// report prints a table of the contenders and keeps it. Rows are compared with
// base, round by round, if that is not nil.
func (b *bench) report(table result.Table, contenders []*contender, base *contender) {
	for _, c := range contenders {
		row := result.Row{Name: c.name, Value: c.samples.Spread(), Samples: c.samples}
		if base != nil && c != base {
			table.Base = base.name
			ratio := c.samples.Over(base.samples).Spread()
			row.Ratio = &ratio
			if table.Added {
				added := c.samples.Minus(base.samples).Spread()
				row.Added = &added
			}
		}
		table.Rows = append(table.Rows, row)
	}
	table.Print(os.Stdout)
	b.out.Tables = append(b.out.Tables, table)
}

// claim keeps what the product must show, and what was measured of it.
func (b *bench) claim(c result.Claim, measured result.Spread) {
	c.Measured = measured
	b.out.Claims = append(b.out.Claims, c)
}

// ratio compares two contenders round by round.
func ratio(of, to *contender) result.Spread { return of.samples.Over(to.samples).Spread() }

// addedRatio compares what two contenders add to a third one.
func addedRatio(of, to, base *contender) result.Spread {
	return of.samples.Minus(base.samples).OverMedian(to.samples.Minus(base.samples)).Spread()
}

// find returns the contender of a name.
func find(contenders []*contender, name string) *contender {
	for _, c := range contenders {
		if c.name == name {
			return c
		}
	}
	panic("no contender is called " + name)
}
