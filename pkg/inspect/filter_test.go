package inspect

import (
	"fmt"
	"net/netip"
	"strings"
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

// TestFilterErrors wants errors that name the field and what it takes.
func TestFilterErrors(t *testing.T) {
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprint("rule-", i))
	}
	var f Filter
	for want, err := range map[string]error{
		`direction "sideways": write one of egress, ingress`: (&Filter{Direction: "sideways"}).Check(),
		`protocol "sctp": write one of tcp, udp`:             (&Filter{Protocol: "sctp"}).Check(),
		`verdict "": write one of passed`:                    (&Filter{Verdicts: []string{""}}).Check(),
		`rule "web": no rule of these containers`:            (&Filter{Rule: "web"}).CheckRule(names),
		`rule-19, and 10 more`:                               (&Filter{Rule: "web"}).CheckRule(names),
		`address "x" is neither`:                             f.SetAddress("x"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	good := Filter{Direction: "ingress", Protocol: "icmpv6", Verdicts: []string{"dropped"}, Rule: "rule-29"}
	if err := good.Check(); err != nil || good.CheckRule(names) != nil {
		t.Errorf("%v, %v", err, good.CheckRule(names))
	}
	if err := f.SetAddress("::ffff:10.0.0.2"); err != nil || f.Address.String() != "10.0.0.2/32" {
		t.Errorf("%s, %v", f.Address, err)
	}
}
