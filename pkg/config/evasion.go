package config

import (
	"net/netip"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// forbidEvasion reports container rules that bypass a rule of the network, although that
// comes first.
//
// Rules match the port before a rewrite. So a container that must not talk to port 25 could
// rewrite another port to 25. And rules do not apply to replies of rewritten flows.
func (p *parser) forbidEvasion(network, container []listed) {
	for i := range container {
		own := &container[i]
		if !own.sound || own.Action != rules.Rewrite {
			continue
		}
		ports := outputs(own, remaining(own, network))
		if rule, port := evadedByOutput(own, ports, network); rule != nil {
			p.report(own.at.in("toPort"), "rewrites to port %d, which rule %q of the network %s: choose another port",
				port, rule.Name, effects[rule.Action])
		} else if rule := evadedByReplies(own, ports, network); rule != nil {
			p.report(own.at.value, "its replies would bypass rule %q of the network, which drops all remaining ports: "+
				"leave the rule out, or make it oneWay", rule.Name)
		}
	}
}

// effects are the actions in messages.
var effects = map[rules.Action]string{rules.Rewrite: "rewrites", rules.Drop: "drops"}

// remaining returns the ports of a container rule that the network's rules do not decide.
func remaining(own *listed, network []listed) []rules.PortRange {
	left := []rules.PortRange{own.Ports}
	for i := range network {
		rule := &network[i]
		if rule.matchesAny(own, own.Direction, left) && covers(rule.Peers, own.Peers) {
			left = without(left, rule.Ports)
		}
	}
	return left
}

// outputs returns the ports that a rule rewrites ports to.
func outputs(rule *listed, ports []rules.PortRange) []rules.PortRange {
	made := make([]rules.PortRange, len(ports))
	for i, r := range ports {
		made[i] = rules.PortRange{First: rule.Rewritten(r.First), Last: rule.Rewritten(r.Last)}
	}
	return made
}

// evadedByOutput returns a rule of the network that drops or rewrites packets to one of the
// ports, and that port. It returns nil if there is none.
func evadedByOutput(own *listed, ports []rules.PortRange, network []listed) (*listed, uint16) {
	for i := range network {
		rule := &network[i]
		switch {
		case !rule.matchesAny(own, own.Direction, ports):
		case rule.Action != rules.Pass && overlap(rule.Peers, own.Peers):
			shared := ports[slices.IndexFunc(ports, rule.Ports.Overlaps)]
			return rule, max(shared.First, rule.Ports.First)
		case rule.Action == rules.Pass && covers(rule.Peers, own.Peers):
			ports = without(ports, rule.Ports)
		}
	}
	return nil, 0
}

// evadedByReplies returns the rule that completes a drop of all packets in the direction of
// replies from the ports. Several rules can drop a part of the ports each. It returns nil
// if the network lets packets through.
func evadedByReplies(own *listed, ports []rules.PortRange, network []listed) *listed {
	if own.OneWay || len(ports) == 0 {
		return nil
	}
	every := rules.PortRange{First: 1, Last: rules.EveryPort.Last}
	undropped := []rules.PortRange{every}
	for i := range network {
		rule := &network[i]
		if !rule.matchesAny(own, opposite(own.Direction), []rules.PortRange{every}) {
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

// matchesAny reports whether the rule matches packets of own's protocol in a direction to
// any of the ports. A rejected rule matches nothing: its problems are already reported.
func (l *listed) matchesAny(own *listed, direction rules.Direction, ports []rules.PortRange) bool {
	return l.sound && l.Direction == direction && l.Protocol == own.Protocol && slices.ContainsFunc(ports, l.Ports.Overlaps)
}

// covers reports whether each of the peers lies in one of the prefixes. An empty list
// stands for every address.
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

// overlap reports whether the lists have an address in common. An empty list stands for
// every address.
func overlap(a, b []netip.Prefix) bool {
	for _, prefix := range a {
		if slices.ContainsFunc(b, prefix.Overlaps) {
			return true
		}
	}
	return len(a) == 0 || len(b) == 0
}

// without removes a range from others.
func without(ranges []rules.PortRange, cut rules.PortRange) []rules.PortRange {
	var left []rules.PortRange
	for _, r := range ranges {
		if !cut.Overlaps(r) {
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
