// Package rules is the rule model of xdp-port: what a rule says, which rule
// decides a packet, and the tables that the kernel looks rules up in.
//
// It is pure: no system calls, no kernel, no configuration syntax. Ports are
// in host byte order throughout.
package rules

import "net/netip"

// Direction of a packet as its container sees it, the words of Kubernetes'
// NetworkPolicy.
type Direction uint8

// The two directions.
const (
	// Egress is what the container sends.
	Egress Direction = iota
	// Ingress is what the container receives.
	Ingress
)

// String returns the word the configuration uses.
func (d Direction) String() string {
	if d == Ingress {
		return "ingress"
	}
	return "egress"
}

// Protocol is an IP protocol number (IANA "Assigned Internet Protocol
// Numbers"): TCP or UDP, no other.
type Protocol uint8

// The protocols that have ports a rule can name.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String returns the word the configuration uses.
func (p Protocol) String() string {
	if p == UDP {
		return "udp"
	}
	return "tcp"
}

// Action is what a rule does to a packet that it matches.
type Action uint8

// The actions. Their numbers are those of enum rule_action in bpf/types.h.
const (
	// Rewrite changes the destination port.
	Rewrite Action = iota
	// Drop discards the packet.
	Drop
	// Pass leaves the packet alone: an exception to the rules behind it.
	Pass
)

// String returns the word the configuration uses.
func (a Action) String() string {
	return [...]string{"rewrite", "drop", "pass"}[a]
}

// PortRange is the ports First to Last, both included, in host byte order.
type PortRange struct {
	First, Last uint16
}

// EveryPort is the range of a rule that names no port.
var EveryPort = PortRange{First: 0, Last: 65535}

// Contains tells whether port lies in the range.
func (r PortRange) Contains(port uint16) bool {
	return r.First <= port && port <= r.Last
}

// Overlaps tells whether a port lies in both ranges.
func (r PortRange) Overlaps(other PortRange) bool {
	return r.First <= other.Last && other.First <= r.Last
}

// Len is the number of ports in the range, 1 to 65,536.
func (r PortRange) Len() int {
	return int(r.Last) - int(r.First) + 1
}

// Rule is one rule of a network configuration. The zero value of To is meant
// for actions other than Rewrite.
type Rule struct {
	// Name labels the rule in counters and messages.
	Name      string
	Direction Direction
	Protocol  Protocol
	// Ports are the destination ports, before rewriting, that the rule is about.
	Ports  PortRange
	Action Action
	// To are the ports that Ports become, one by one; or a single port that
	// all of them become.
	To PortRange
	// Peers are the addresses the rule is limited to: the destination of an
	// egress packet, the source of an ingress one. Empty means every address.
	// Prefixes are masked and never IPv4-mapped IPv6.
	Peers []netip.Prefix
	// OneWay leaves replies as they are.
	OneWay bool
}

// Rewritten returns the port that a rewriting rule turns port into.
func (r *Rule) Rewritten(port uint16) uint16 {
	if r.To.Len() == 1 {
		return r.To.First
	}
	return r.To.First + (port - r.Ports.First)
}

// Matches tells whether the rule is about a packet of this direction and
// protocol to this destination port, with this peer.
func (r *Rule) Matches(dir Direction, proto Protocol, port uint16, peer netip.Addr) bool {
	return r.Direction == dir && r.Protocol == proto && r.Ports.Contains(port) && r.concerns(peer)
}

func (r *Rule) concerns(peer netip.Addr) bool {
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

// Decide returns the index of the first of rules that matches, or -1: the
// meaning of a rule list in its plainest form, which the kernel's tables are
// tested against.
func Decide(rules []Rule, dir Direction, proto Protocol, port uint16, peer netip.Addr) int {
	for i := range rules {
		if rules[i].Matches(dir, proto, port, peer) {
			return i
		}
	}
	return -1
}
