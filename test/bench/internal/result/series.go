package result

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Series are the samples of a contender, one per round. Samples of one round are taken within
// moments, so series are compared round by round: other load on the machine affects both.
type Series []float64

// Spread is a median with the quartiles around it.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Spread summarises the samples.
func (s Series) Spread() Spread {
	if len(s) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(s))
	quantile := func(p float64) float64 { return stat.Quantile(p, stat.LinInterp, sorted, nil) }
	return Spread{Median: median(sorted), Low: quantile(0.25), High: quantile(0.75)}
}

func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Minus is the difference, round by round.
func (s Series) Minus(other Series) Series {
	return s.with(other, func(a, b float64) float64 { return a - b })
}

// Over is the ratio, round by round.
func (s Series) Over(other Series) Series {
	return s.with(other, func(a, b float64) float64 { return a / b })
}

// OverMedian is the ratio to the other's median. It suits differences, which may be close to zero
// in a single round.
func (s Series) OverMedian(other Series) Series {
	divisor := other.Spread().Median
	return s.with(s, func(a, _ float64) float64 { return a / divisor })
}

// OverheadRatio compares the overhead of two contenders over a third one.
func OverheadRatio(of, to, base Series) Spread {
	return of.Minus(base).OverMedian(to.Minus(base)).Spread()
}

func (s Series) with(other Series, combine func(a, b float64) float64) Series {
	out := make(Series, min(len(s), len(other)))
	for i := range out {
		if value := combine(s[i], other[i]); !math.IsInf(value, 0) && !math.IsNaN(value) {
			out[i] = value // otherwise the clock measured nothing
		}
	}
	return out
}
