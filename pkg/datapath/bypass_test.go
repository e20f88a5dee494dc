package datapath

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

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
		mode    Mode
		at      side
		rules   []rules.Rule
		refused bool
	}{
		"rewriting out":                  {TC, ingress, []rules.Rule{rewrite(rules.Egress, 7999, 7998)}, false},
		"rewriting in":                   {Generic, egress, []rules.Rule{rewrite(rules.Ingress, 80, 8080)}, false},
		"passing":                        {TC, egress, []rules.Rule{pass}, false},
		"dropping in":                    {Generic, egress, []rules.Rule{dropIn}, true},
		"dropping in, other side":        {Generic, ingress, []rules.Rule{dropIn}, false},
		"dropping in, native":            {Native, egress, []rules.Rule{rewrite(rules.Egress, 1, 2), dropIn}, true},
		"dropping out by tc":             {TC, ingress, []rules.Rule{dropOut}, true},
		"dropping out by tc, other side": {TC, egress, []rules.Rule{dropOut, rewrite(rules.Egress, 1, 2)}, false},
		"dropping out by XDP":            {Generic, ingress, []rules.Rule{dropOut, rewrite(rules.Egress, 7999, 7998)}, false},
		"dropping out natively":          {Native, ingress, []rules.Rule{dropOut, rewrite(rules.Egress, 7999, 25), pass}, false},
		// XDP leaves these to tc ingress.
		"dropping the output of a rewrite": {Generic, ingress, []rules.Rule{dropOut, rewrite(rules.Egress, 7999, 25)}, true},
		"the same of another protocol": {
			Generic, ingress, []rules.Rule{drop(rules.Egress, rules.TCP, 25, 25), rewrite(rules.Egress, 7999, 25)}, false,
		},
		"dropping what may be replies": {Generic, ingress, []rules.Rule{dropOut, rewrite(rules.Ingress, 80, 8080)}, true},
		"dropping beside ingress":      {Generic, ingress, []rules.Rule{dropOut, pass}, true},
	} {
		rs := &Ruleset{Mode: tt.mode, Rules: tt.rules}
		err := rs.Enforce([]ForeignTC{{Device: Device{Index: 7, Name: "host1"}, Hook: tt.at.pin(), Kind: TCX, Name: "stranger"}})
		var bypass *BypassError
		if errors.As(err, &bypass) != tt.refused {
			t.Errorf("%s: %v", name, err)
		} else if tt.refused && bypass.Rule.Name != "drop" {
			t.Errorf("%s: the rule is %q", name, bypass.Rule.Name)
		}
	}
}

// TestPriority wants a place ahead of all filters that may end the chain, where
// there is one, and else a free one.
func TestPriority(t *testing.T) {
	filter := func(priority, protocol uint16) netlink.Filter {
		return &netlink.GenericFilter{FilterAttrs: netlink.FilterAttrs{Priority: priority, Protocol: protocol}}
	}
	bpf := func(priority, protocol uint16) netlink.Filter {
		return &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{Priority: priority, Protocol: protocol}, Name: "stranger"}
	}
	ours := &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{Priority: 2, Protocol: unix.ETH_P_ALL}, Name: filterPrefix + "1"}
	elsewhere := filter(1, unix.ETH_P_ALL)
	chain := uint32(5)
	elsewhere.Attrs().Chain = &chain
	for name, tt := range map[string]struct {
		filters []netlink.Filter
		want    uint16
	}{
		"none":                    {nil, 2},
		"ours":                    {[]netlink.Filter{ours}, 2},
		"behind":                  {[]netlink.Filter{filter(3, unix.ETH_P_ALL)}, 2},
		"at 2":                    {[]netlink.Filter{filter(2, unix.ETH_P_IP)}, 1},
		"at 1":                    {[]netlink.Filter{filter(1, unix.ETH_P_ALL)}, 2},
		"at 1 and 2":              {[]netlink.Filter{filter(1, unix.ETH_P_ALL), filter(2, unix.ETH_P_ALL)}, 3},
		"at 1, for ARP":           {[]netlink.Filter{filter(1, unix.ETH_P_ARP)}, 2},
		"at 1 and 2, for ARP":     {[]netlink.Filter{filter(1, unix.ETH_P_ARP), filter(2, unix.ETH_P_ARP), filter(9, unix.ETH_P_IP)}, 3},
		"at 1 for ARP, and at 2":  {[]netlink.Filter{filter(1, unix.ETH_P_ARP), filter(2, unix.ETH_P_IPV6)}, 3},
		"at 1, but in a chain":    {[]netlink.Filter{elsewhere}, 2},
		"at 2, tagged":            {[]netlink.Filter{filter(2, unix.ETH_P_8021Q)}, 1},
		"BPF at 1":                {[]netlink.Filter{bpf(1, unix.ETH_P_ALL), bpf(1, unix.ETH_P_ALL), ours}, 1},
		"BPF at 2":                {[]netlink.Filter{bpf(2, unix.ETH_P_ALL)}, 1},
		"BPF at 1, for IP":        {[]netlink.Filter{bpf(1, unix.ETH_P_IP)}, 2},
		"BPF at 2, 1 taken":       {[]netlink.Filter{filter(1, unix.ETH_P_ARP), bpf(2, unix.ETH_P_ALL)}, 2},
		"no place ahead, 2 taken": {[]netlink.Filter{filter(1, unix.ETH_P_IP), filter(2, unix.ETH_P_ARP), filter(3, unix.ETH_P_ALL)}, 4},
	} {
		if got := prioritiesOf(tt.filters).choose(); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
