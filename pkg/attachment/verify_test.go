package attachment

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// TestVerifyNamesWhatDiffers changes one rule, which keeps its name, or is
// another's place.
func TestVerifyNamesWhatDiffers(t *testing.T) {
	port := func(n uint16) rules.PortRange { return rules.PortRange{First: n, Last: n} }
	rule := rules.Rule{Name: "dns", Protocol: rules.UDP, Ports: port(53), To: port(5353)}
	for what, test := range map[string]struct {
		change func(*rules.Rule)
		want   string
	}{
		"toPort": {func(r *rules.Rule) { r.To = port(5354) }, `rules[0] of the configuration, "dns", is in force with another toPort`},
		"three": {
			func(r *rules.Rule) { r.Direction, r.Protocol, r.OneWay = rules.Ingress, rules.TCP, true },
			`is in force with another direction, protocol, oneWay`,
		},
		"cidrs": {func(r *rules.Rule) { r.Peers = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, `with another cidrs`},
		"name":  {func(r *rules.Rule) { r.Name = "other" }, `"other", is not the rule "dns" that is in force`},
	} {
		desired := rule
		test.change(&desired)
		err := verifyRuleset(&datapath.Ruleset{Rules: []rules.Rule{rule}}, &datapath.Ruleset{Rules: []rules.Rule{desired}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
	}
}
