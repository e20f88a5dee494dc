package inspect

import (
	"net/netip"
	"testing"
)

// TestFilter matches any of several words of a field, and all fields.
func TestFilter(t *testing.T) {
	end := func(text string) End { return End{netip.MustParseAddrPort(text)} }
	d := &Decision{
		Direction: "egress", Protocol: "udp", Rule: "dns", Verdict: "rewritten",
		Before: Ends{end("10.0.0.2:4000"), end("1.1.1.1:53")},
		After:  Ends{end("10.0.0.2:4000"), end("1.1.1.1:5353")},
	}
	for _, test := range []struct {
		Filter
		want bool
	}{
		{Filter{}, true},
		{Filter{Direction: "egress", Protocol: "udp", Rule: "dns"}, true},
		{Filter{Direction: "ingress"}, false},
		{Filter{Protocol: "tcp"}, false},
		{Filter{Rule: "web"}, false},
		{Filter{Ports: []uint16{80, 5353}}, true},
		{Filter{Ports: []uint16{80}}, false},
		{Filter{Verdicts: []string{"dropped", "rewritten"}}, true},
		{Filter{Verdicts: []string{"dropped"}}, false},
		{Filter{Address: netip.MustParsePrefix("10.0.0.0/8")}, true},
		{Filter{Address: netip.MustParsePrefix("10.0.0.0/8"), Ports: []uint16{53}}, true},
		{Filter{Address: netip.MustParsePrefix("192.168.0.0/16")}, false},
	} {
		if test.Matches(d) != test.want {
			t.Errorf("%+v: want %v", test.Filter, test.want)
		}
	}
}
