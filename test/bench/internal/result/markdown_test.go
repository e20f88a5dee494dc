package result

import (
	"bytes"
	"strings"
	"testing"
)

// TestPrint reads a table as people do: the titles say what the numbers mean.
func TestPrint(t *testing.T) {
	table := Table{
		Title: "A small UDP packet", Unit: "ns per packet", Base: "nothing attached", Overhead: "ns", Note: "Busy time.",
		Rows: []Row{
			{Name: "nothing attached", Value: Spread{1000, 990, 1010}},
			{Name: "nft DNAT", Value: Spread{1500, 1500, 1500}, Overhead: &Spread{500, 499, 501}, Ratio: &Spread{1.5, 1.5, 1.5}},
		},
	}
	var got bytes.Buffer
	table.Print(&got)
	want := `
### A small UDP packet

|                  | ns per packet      | overhead, ns     | relative to nothing attached |
|------------------|--------------------|------------------|------------------------------|
| nothing attached | 1000 (990 to 1010) |                  |                              |
| nft DNAT         | 1500               | 500 (499 to 501) | 1.50                         |

Busy time.
`
	if got.String() != want {
		t.Errorf("the table is\n%s\nshould be\n%s", &got, want)
	}
}

func TestPrintClaims(t *testing.T) {
	var got bytes.Buffer
	PrintClaims(&got, []Claim{
		{What: "a run", Measured: Spread{31, 30, 32}, Bound: 30, Unit: "ns"},
		{What: "a stream", Measured: Spread{0.99, 0.98, 1}, Bound: 0.98, AtLeast: true},
	})
	for _, want := range []string{"| 31.0 (30.0 to 32.0) ns | ≤ 30 ns  | not met |", "| 0.99 (0.98 to 1.00)    | ≥ 0.98   | met     |"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &got)
		}
	}
}
