package result

import "testing"

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		samples Series
		want    Spread
	}{
		{Series{7}, Spread{7, 7, 7}},
		{Series{4, 1, 3, 2}, Spread{2.5, 1, 3}},
		{Series{5, 1, 2, 4, 3}, Spread{3, 1.25, 3.75}},
		{nil, Spread{}},
	} {
		if got := c.samples.Spread(); got != c.want {
			t.Errorf("%v: %+v, should be %+v", c.samples, got, c.want)
		}
	}
}

// TestRounds compares series that drift together. Their ratio does not drift.
func TestRounds(t *testing.T) {
	base, twice := Series{100, 200, 300}, Series{200, 400, 600}
	if got := twice.Over(base).Spread(); got != (Spread{2, 2, 2}) {
		t.Errorf("the ratio is %+v", got)
	}
	if got := twice.Minus(base).OverMedian(base).Spread().Median; got != 1 {
		t.Errorf("the overhead is %g of the base", got)
	}
}

// TestOverheadRatio compares an overhead of 30 with one of 60, over a base that drifts.
func TestOverheadRatio(t *testing.T) {
	base := Series{100, 200, 300}
	if got := OverheadRatio(Series{130, 230, 330}, Series{160, 260, 360}, base); got != (Spread{0.5, 0.5, 0.5}) {
		t.Errorf("the ratio is %+v, should be 0.5", got)
	}
}

func TestClaims(t *testing.T) {
	upper, lower := Claim{Bound: 2, Measured: Spread{Median: 2.1}}, Claim{Bound: 2, AtLeast: true, Measured: Spread{Median: 2.1}}
	if upper.Met() || !lower.Met() {
		t.Error("2.1 is not at most 2, but at least 2")
	}
}
