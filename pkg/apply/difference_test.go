package apply

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// rewrite is a rule for DNS.
func rewrite(to uint16) rules.Rule {
	return rules.Rule{
		Name: "dns", Protocol: rules.UDP, Action: rules.Rewrite,
		Ports: rules.PortRange{First: 53, Last: 53}, To: rules.PortRange{First: to, Last: to},
	}
}

// attached is an attachment in force, with that rule.
func attached(mode, hook string, rule rules.Rule) *inspect.Attachment {
	return &inspect.Attachment{Mode: mode, TCHook: hook, FlowLimit: 1024, Rules: []inspect.Rule{inspect.RuleOf(0, &rule)}}
}

func desiredWith(mode datapath.Mode, rule rules.Rule) state.Desired {
	return state.Desired{Ruleset: &datapath.Ruleset{Mode: mode, Flows: 1024, Rules: []rules.Rule{rule}}}
}

func Example_difference() {
	a := attached("generic", "tcx", rewrite(5353))
	difference := difference(a, desiredWith(datapath.Generic, rewrite(5300)))
	fmt.Print(difference[strings.Index(difference, "@@"):])
	// Output:
	// @@ -1,2 +1,2 @@
	//  mode generic, tc hook tcx, 1024 flows
	// -dns: egress udp 53 -> 5353
	// +dns: egress udp 53 -> 5300
}

// TestChoice leaves mode and hook that the configuration does not choose as they are.
func TestChoice(t *testing.T) {
	desired := desiredWith(datapath.Generic, rewrite(5353))
	for _, test := range []struct {
		mode, hook string
		fallback   bool
		differs    bool
	}{
		{mode: "generic", hook: "tcx"},
		{mode: "generic", hook: "clsact"},
		{mode: "tc", hook: "tcx", fallback: true},
		{mode: "tc", hook: "tcx", differs: true},
		{mode: "native", hook: "tcx", fallback: true, differs: true},
	} {
		w := desired
		if test.fallback {
			w.Fallback = &datapath.Ruleset{Mode: datapath.TC}
		}
		if text := difference(attached(test.mode, test.hook, rewrite(5353)), w); (text != "") != test.differs {
			t.Errorf("%+v: %q", test, text)
		}
	}
}
