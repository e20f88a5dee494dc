// Package rules is the rule model of xdp-port: what a rule says, which rule
// decides a packet, and the tables in which the kernel looks rules up.
//
// Decide defines the meaning of a list of rules. Compile turns the list into a
// Table, which gives the same answers at a cost that does not depend on the
// number of rules. FindUnreachable names the rules that never decide.
//
// The package is pure: it makes no system call and knows neither the kernel nor
// the syntax of the configuration. All ports are in host byte order.
package rules

import (
	"fmt"
	"net/netip"
)

// Direction is the direction of a packet as its container sees it. The words are
// those of Kubernetes' NetworkPolicy.
type Direction uint8

// The two directions.
const (
	// Egress is the direction of packets that the container sends.
	Egress Direction = iota
	// Ingress is the direction of packets that the container receives.
	Ingress
)

// String returns the word that the configuration uses.
func (d Direction) String() string {
	if d == Ingress {
		return "ingress"
	}
	return "egress"
}

// Protocol is an IP protocol number (IANA "Assigned Internet Protocol
// Numbers"). Only TCP and UDP are valid.
type Protocol uint8

// The protocols that a rule can name.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String returns the word that the configuration uses.
func (p Protocol) String() string {
	if p == UDP {
		return "udp"
	}
	return "tcp"
}

// Action is what a rule does to the packets that it matches.
type Action uint8

// The actions. Their numbers are those of enum rule_action in bpf/types.h.
const (
	// Rewrite changes the destination port.
	Rewrite Action = iota
	// Drop discards the packet.
	Drop
	// Pass leaves the packet alone. It makes an exception to later rules.
	Pass
)

// String returns the word that the configuration uses.
func (a Action) String() string {
	switch a {
	case Rewrite:
		return "rewrite"
	case Drop:
		return "drop"
	case Pass:
		return "pass"
	}
	return fmt.Sprintf("unknown action %d", uint8(a))
}

// Rule is one rule of a network configuration.
type Rule struct {
	// Name labels the rule in counters and messages.
	Name      string
	Direction Direction
	Protocol  Protocol
	// Ports are the destination ports that the rule matches. A packet is matched
	// before it is rewritten.
	Ports  PortRange
	Action Action
	// To is the range that a rewrite maps Ports to: a range of the same length,
	// or a single port. It is zero for other actions.
	To PortRange
	// Peers are the peer addresses that the rule matches: the destination of an
	// egress packet, the source of an ingress packet. Empty means every address.
	// Prefixes are masked and never IPv4-mapped IPv6.
	Peers []netip.Prefix
	// OneWay leaves replies as they are, so that a rewrite keeps no flow.
	OneWay bool
}

// Rewritten returns the port to which a rewriting rule changes port.
func (r *Rule) Rewritten(port uint16) uint16 {
	if r.To.Len() == 1 {
		return r.To.First
	}
	return r.To.First + (port - r.Ports.First)
}

// Matches reports whether the rule matches a packet with this direction,
// protocol, destination port and peer address.
func (r *Rule) Matches(dir Direction, proto Protocol, port uint16, peer netip.Addr) bool {
	return r.Direction == dir && r.Protocol == proto && r.Ports.Contains(port) && r.matchesPeer(peer)
}

func (r *Rule) matchesPeer(peer netip.Addr) bool {
	if len(r.Peers) == 0 {
		return true
	}
	for _, prefix := range r.Peers {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

// Decide returns the index of the first rule that matches, or -1 if none does.
//
// It defines the meaning of a list of rules. Tests compare Table.Lookup and the
// kernel programs with it.
func Decide(rules []Rule, dir Direction, proto Protocol, port uint16, peer netip.Addr) int {
	for i := range rules {
		if rules[i].Matches(dir, proto, port, peer) {
			return i
		}
	}
	return -1
}

// ofTable returns the indices of the rules with this direction and protocol.
func ofTable(rules []Rule, dir Direction, proto Protocol) (mine []int) {
	for i := range rules {
		if r := &rules[i]; r.Direction == dir && r.Protocol == proto {
			mine = append(mine, i)
		}
	}
	return mine
}
