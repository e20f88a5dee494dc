package config

import (
	"net/netip"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// forbidEvasion refuses a container's rule that gets around one of its
// network, though it stands behind it.
//
// A rule looks at a packet's port before rewriting only. So a container that
// must not talk to port 25 could have another port rewritten to 25; and replies
// of what is rewritten one way are not for the rules of the other way.
func (p *parser) forbidEvasion(network, container []listed) {
	for i := range container {
		own := &container[i]
		if !own.sound || own.Action != rules.Rewrite {
			continue
		}
		ports := outputs(own, remaining(own, network))
		if rule, port := evadedByOutput(own, ports, network); rule != nil {
			p.report(own.at.in("toPort"), "leads to port %d, which rule %q of the network %s: choose another",
				port, rule.Name, verbs[rule.Action])
		} else if rule := evadedByReplies(own, ports, network); rule != nil {
			p.report(own.at.value, "its replies would get past rule %q of the network, which drops every port left: "+
				"leave it out, or make it oneWay", rule.Name)
		}
	}
}

var verbs = map[rules.Action]string{rules.Rewrite: "rewrites", rules.Drop: "drops"}

// remaining returns the ports that the network's rules leave to a rule of the
// container.
func remaining(own *listed, network []listed) []rules.PortRange {
	left := []rules.PortRange{own.Ports}
	for i := range network {
		rule := &network[i]
		if rule.touches(own, own.Direction, left) && covers(rule.Peers, own.Peers) {
			left = without(left, rule.Ports)
		}
	}
	return left
}

// outputs returns what a rule makes of ports.
func outputs(rule *listed, ports []rules.PortRange) []rules.PortRange {
	made := make([]rules.PortRange, len(ports))
	for i, r := range ports {
		made[i] = rules.PortRange{First: rule.Rewritten(r.First), Last: rule.Rewritten(r.Last)}
	}
	return made
}

// evadedByOutput returns a rule of the network that does not let packets go to
// one of the ports, and that port; or nil.
func evadedByOutput(own *listed, ports []rules.PortRange, network []listed) (*listed, uint16) {
	for i := range network {
		rule := &network[i]
		switch {
		case !rule.touches(own, own.Direction, ports):
		case rule.Action != rules.Pass && overlap(rule.Peers, own.Peers):
			shared := ports[slices.IndexFunc(ports, rule.shares)]
			return rule, max(shared.First, rule.Ports.First)
		case rule.Action == rules.Pass && covers(rule.Peers, own.Peers):
			ports = without(ports, rule.Ports)
		}
	}
	return nil, 0
}

// evadedByReplies returns the rule with which the network has dropped all that
// goes the way of the replies to what was sent to the ports; or nil. Several rules
// can share the ports among them.
func evadedByReplies(own *listed, ports []rules.PortRange, network []listed) *listed {
	if own.OneWay || len(ports) == 0 {
		return nil
	}
	every := rules.PortRange{First: 1, Last: rules.EveryPort.Last}
	undropped := []rules.PortRange{every}
	for i := range network {
		rule := &network[i]
		if !rule.touches(own, opposite(own.Direction), []rules.PortRange{every}) {
			continue
		}
		isEvery, isAround := len(without([]rules.PortRange{every}, rule.Ports)) == 0, covers(rule.Peers, own.Peers)
		if isAround && rule.Action == rules.Drop {
			undropped = without(undropped, rule.Ports)
		}
		switch {
		case len(undropped) == 0 || isEvery && rule.Action == rules.Drop && overlap(rule.Peers, own.Peers):
			return rule
		case isEvery && isAround:
			return nil
		}
	}
	return nil
}

func opposite(d rules.Direction) rules.Direction {
	if d == rules.Egress {
		return rules.Ingress
	}
	return rules.Egress
}

// touches tells whether the rule is about packets of own's protocol that go in
// this direction to some of the ports. A rule with mistakes of its own touches
// nobody: they are reported already.
func (l *listed) touches(own *listed, direction rules.Direction, ports []rules.PortRange) bool {
	return l.sound && l.Direction == direction && l.Protocol == own.Protocol && slices.ContainsFunc(ports, l.shares)
}

// shares tells whether the rule is about some of the ports.
func (l *listed) shares(r rules.PortRange) bool {
	return l.Ports.First <= r.Last && r.First <= l.Ports.Last
}

// covers tells whether each of the peers lies in one of the prefixes. In either
// list none stands for every address.
func covers(prefixes, peers []netip.Prefix) bool {
	if len(prefixes) == 0 {
		return true
	}
	for _, peer := range peers {
		isAround := func(p netip.Prefix) bool { return p.Bits() <= peer.Bits() && p.Contains(peer.Addr()) }
		if !slices.ContainsFunc(prefixes, isAround) {
			return false
		}
	}
	return len(peers) > 0
}

// overlap tells whether some address is in both lists. In either none stands
// for every address.
func overlap(a, b []netip.Prefix) bool {
	for _, prefix := range a {
		if slices.ContainsFunc(b, prefix.Overlaps) {
			return true
		}
	}
	return len(a) == 0 || len(b) == 0
}

// without cuts a range out of others.
func without(ranges []rules.PortRange, cut rules.PortRange) []rules.PortRange {
	var left []rules.PortRange
	for _, r := range ranges {
		if cut.First > r.Last || cut.Last < r.First {
			left = append(left, r)
			continue
		}
		if r.First < cut.First {
			left = append(left, rules.PortRange{First: r.First, Last: cut.First - 1})
		}
		if r.Last > cut.Last {
			left = append(left, rules.PortRange{First: cut.Last + 1, Last: r.Last})
		}
	}
	return left
}
