package attachment

import (
	"errors"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// TestEnforce has a foreign program ahead at one side: which lists of rules are
// refused, and by which rule.
func TestEnforce(t *testing.T) {
	port := func(first, last uint16) rules.PortRange { return rules.PortRange{First: first, Last: last} }
	rewrite := func(dir rules.Direction, from, to uint16) rules.Rule {
		return rules.Rule{Name: "rewrite", Direction: dir, Protocol: rules.UDP, Ports: port(from, from), To: port(to, to)}
	}
	drop := func(dir rules.Direction, protocol rules.Protocol, first, last uint16) rules.Rule {
		return rules.Rule{Name: "drop", Direction: dir, Protocol: protocol, Ports: port(first, last), Action: rules.Drop}
	}
	pass := rules.Rule{Name: "pass", Direction: rules.Ingress, Protocol: rules.UDP, Ports: port(53, 53), Action: rules.Pass}
	dropOut, dropIn := drop(rules.Egress, rules.UDP, 20, 30), drop(rules.Ingress, rules.UDP, 25, 25)
	for name, tt := range map[string]struct {
		mode    datapath.Mode
		at      hook.Side
		rules   []rules.Rule
		refused bool
	}{
		"rewriting out":                  {datapath.TC, hook.Ingress, []rules.Rule{rewrite(rules.Egress, 7999, 7998)}, false},
		"rewriting in":                   {datapath.Generic, hook.Egress, []rules.Rule{rewrite(rules.Ingress, 80, 8080)}, false},
		"passing":                        {datapath.TC, hook.Egress, []rules.Rule{pass}, false},
		"dropping in":                    {datapath.Generic, hook.Egress, []rules.Rule{dropIn}, true},
		"dropping in, other side":        {datapath.Generic, hook.Ingress, []rules.Rule{dropIn}, false},
		"dropping in, native":            {datapath.Native, hook.Egress, []rules.Rule{rewrite(rules.Egress, 1, 2), dropIn}, true},
		"dropping out by tc":             {datapath.TC, hook.Ingress, []rules.Rule{dropOut}, true},
		"dropping out by tc, other side": {datapath.TC, hook.Egress, []rules.Rule{dropOut, rewrite(rules.Egress, 1, 2)}, false},
		"dropping out by XDP":            {datapath.Generic, hook.Ingress, []rules.Rule{dropOut, rewrite(rules.Egress, 7999, 7998)}, false},
		"dropping out natively":          {datapath.Native, hook.Ingress, []rules.Rule{dropOut, rewrite(rules.Egress, 7999, 25), pass}, false},
		// XDP leaves these to tc ingress.
		"dropping the output of a rewrite": {datapath.Generic, hook.Ingress, []rules.Rule{dropOut, rewrite(rules.Egress, 7999, 25)}, true},
		"the same of another protocol": {
			datapath.Generic, hook.Ingress, []rules.Rule{drop(rules.Egress, rules.TCP, 25, 25), rewrite(rules.Egress, 7999, 25)}, false,
		},
		"dropping what may be replies": {datapath.Generic, hook.Ingress, []rules.Rule{dropOut, rewrite(rules.Ingress, 80, 8080)}, true},
		"dropping beside ingress":      {datapath.Generic, hook.Ingress, []rules.Rule{dropOut, pass}, true},
	} {
		rs := &datapath.Ruleset{Mode: tt.mode, Rules: tt.rules}
		err := Enforce(rs, []hook.ForeignTC{{Device: hook.Device{Index: 7, Name: "host1"}, Hook: string(tt.at.Point()), Kind: hook.TCX, Name: "stranger"}})
		var bypass *BypassError
		if errors.As(err, &bypass) != tt.refused {
			t.Errorf("%s: %v", name, err)
		} else if tt.refused && bypass.Rule.Name != "drop" {
			t.Errorf("%s: the rule is %q", name, bypass.Rule.Name)
		}
	}
}
