package model

import (
	"fmt"
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// pickServices chooses a few ports: neighbours, ports at the ends of pages of the port
// tables, and the lowest and highest port.
func (s *Scenario) pickServices() {
	pool := []uint16{1, 25, 53, 80, 81, 255, 256, 443, 511, 512, 5353, 7998, 7999, 8000, 8001, 8080, 9000, 65280, 65534, 65535}
	for range 5 {
		s.services = append(s.services, pick(s, pool))
	}
	s.services = append(s.services, uint16(1+s.random.IntN(65535)))
}

// makeRules creates up to a dozen rules. The first rule of most directions and
// protocols is a rewrite. A few scenarios have many more rules, which no packet
// matches.
func (s *Scenario) makeRules() {
	for table := range 4 {
		if s.chance(70) {
			s.add(s.rewriting(rules.Direction(table/2), []rules.Protocol{rules.TCP, rules.UDP}[table%2]))
		}
	}
	if s.chance(5) {
		s.addUnmatchedRules()
	}
	for range 1 + s.random.IntN(8) {
		s.add(s.anyRule())
	}
	if s.chance(20) {
		s.add(s.catchAll())
	}
}

func (s *Scenario) add(rule rules.Rule) {
	s.about = append(s.about, len(s.Rules))
	rule.Name = fmt.Sprintf("rule-%d", len(s.Rules))
	s.Rules = append(s.Rules, rule)
}

// addUnmatchedRules fills the list with unmatched rules, almost up to the limit of 1,024.
func (s *Scenario) addUnmatchedRules() {
	for n := range 1000 {
		port := uint16(20000 + n*2)
		s.Rules = append(s.Rules, rules.Rule{
			Name:      fmt.Sprintf("rule-%d", len(s.Rules)),
			Direction: rules.Direction(n % 2), Protocol: rules.TCP, Action: rules.Drop,
			Ports: rules.PortRange{First: port, Last: port},
		})
	}
}

func (s *Scenario) anyRule() rules.Rule {
	rule := s.rewriting(s.direction(), pick(s, []rules.Protocol{rules.TCP, rules.UDP}))
	switch s.random.IntN(10) {
	case 0, 1:
		rule.Action, rule.To = rules.Drop, rules.PortRange{}
	case 2:
		rule.Action, rule.To = rules.Pass, rules.PortRange{}
	case 3, 4:
		rule.OneWay = true
	}
	return rule
}

// catchAll returns a rule that drops or passes all packets without another rule.
func (s *Scenario) catchAll() rules.Rule {
	return rules.Rule{
		Direction: s.direction(), Protocol: pick(s, []rules.Protocol{rules.TCP, rules.UDP}),
		Action: pick(s, []rules.Action{rules.Drop, rules.Pass}), Ports: rules.EveryPort, Peers: s.somePeers(),
	}
}

// rewriting returns a rewrite from port to port, from a range to one of the same size,
// or from a range to a single port.
func (s *Scenario) rewriting(dir rules.Direction, proto rules.Protocol) rules.Rule {
	length := 1
	if s.chance(40) {
		length += s.random.IntN(5)
	}
	if s.chance(5) {
		length += 300
	}
	rule := rules.Rule{Direction: dir, Protocol: proto, Ports: s.portRange(length), To: s.portRange(length), Peers: s.somePeers()}
	if s.chance(30) {
		rule.To.Last = rule.To.First
	}
	return rule
}

func (s *Scenario) portRange(length int) rules.PortRange {
	first := min(int(pick(s, s.services)), 65536-length)
	return rules.PortRange{First: uint16(first), Last: uint16(first + length - 1)}
}

// somePeers returns every address most of the time, and otherwise prefixes around peers
// of the scenario.
func (s *Scenario) somePeers() []netip.Prefix {
	if s.chance(70) {
		return nil
	}
	var peers []netip.Prefix
	for range 1 + s.random.IntN(4) {
		peer := pick(s, s.peers[s.random.IntN(2)])
		length := pick(s, []int{peer.BitLen(), peer.BitLen(), peer.BitLen() - 1, peer.BitLen() - 2, 24, 8, 0})
		prefix, err := peer.Prefix(length)
		if err != nil {
			panic(err)
		}
		peers = append(peers, prefix)
	}
	return peers
}
