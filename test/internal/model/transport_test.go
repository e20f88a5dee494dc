package model

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

func TestRewriteAndReply(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		for name, p := range shapes(first) {
			t.Run(name, func(t *testing.T) {
				rewritten := p.WithPorts(1024, 8080)
				converse(t, []rules.Rule{rule},
					// Without a flow a packet is not a reply.
					step{dir: opposite(dir), frame: rewritten.Reply().Bytes(), reason: NoRule},
					step{dir: dir, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
					step{dir: dir, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
					step{dir: opposite(dir), frame: rewritten.Reply().Bytes(), out: p.Reply().Bytes(), reason: Reply},
					// Another port of the same peer, and another port of the container.
					step{dir: opposite(dir), frame: p.Reply().Bytes(), reason: NoRule},
					step{dir: opposite(dir), frame: p.WithPorts(1025, 8080).Reply().Bytes(), reason: NoRule},
				)
			})
		}
	})
}

func TestReplyIsNotSubjectToRules(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		drop := rules.Rule{Direction: opposite(dir), Protocol: rule.Protocol, Action: rules.Drop, Ports: rules.EveryPort}
		rewritten := first.WithPorts(1024, 8080)
		converse(t, []rules.Rule{drop, rule},
			step{dir: opposite(dir), frame: rewritten.Reply().Bytes(), reason: DropRule, by: 1},
			step{dir: dir, frame: first.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 2},
			step{dir: opposite(dir), frame: rewritten.Reply().Bytes(), out: first.Reply().Bytes(), reason: Reply},
			step{dir: opposite(dir), frame: first.Reply().Bytes(), reason: DropRule, by: 1},
		)
	})
}

func TestFirstRuleDecides(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		for action, reason := range map[rules.Action]Reason{rules.Drop: DropRule, rules.Pass: PassRule} {
			other := rule
			other.Action, other.To = action, rules.PortRange{}
			converse(t, []rules.Rule{other, rule}, step{dir: dir, frame: first.Bytes(), reason: reason, by: 1})
		}
		// Rules of the other direction and protocol do not apply.
		turned, changed := rule, rule
		turned.Direction = opposite(dir)
		changed.Protocol ^= rules.TCP ^ rules.UDP
		converse(t, []rules.Rule{turned, changed}, step{dir: dir, frame: first.Bytes(), reason: NoRule})
	})
}

func TestPeers(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		elsewhere := rule
		elsewhere.Peers = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("fd00::/16")}
		here := rule
		here.Peers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
		converse(t, []rules.Rule{elsewhere}, step{dir: dir, frame: first.Bytes(), reason: NoRule})
		converse(t, []rules.Rule{elsewhere, here},
			step{dir: dir, frame: first.Bytes(), out: first.WithPorts(1024, 8080).Bytes(), reason: Rewritten, by: 2})
	})
}

func TestRanges(t *testing.T) {
	rule := rules.Rule{Protocol: rules.UDP, Ports: rules.PortRange{First: 80, Last: 89}, To: rules.PortRange{First: 8080, Last: 8089}}
	converse(t, []rules.Rule{rule},
		step{dir: out, frame: v4.from(udp(1, 79)).Bytes(), reason: NoRule},
		step{dir: out, frame: v4.from(udp(1, 80)).Bytes(), out: v4.from(udp(1, 8080)).Bytes(), reason: Rewritten, by: 1},
		step{dir: out, frame: v4.from(udp(1, 89)).Bytes(), out: v4.from(udp(1, 8089)).Bytes(), reason: Rewritten, by: 1},
		step{dir: out, frame: v4.from(udp(1, 90)).Bytes(), reason: NoRule},
		step{dir: in, frame: v4.to(udp(8089, 1)).Bytes(), out: v4.to(udp(89, 1)).Bytes(), reason: Reply},
	)
}

// Two connections would get the same ports: the second one gets another source port.
func TestSecondConnectionGetsAnotherPort(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		also := rewrite(dir, rule.Protocol, 81)
		second := first.WithPorts(1024, 81)
		asFirst, asSecond := first.WithPorts(1024, 8080), first.WithPorts(1025, 8080)
		both := []step{
			{dir: dir, frame: first.Bytes(), out: asFirst.Bytes(), reason: Rewritten, by: 1},
			{dir: dir, frame: second.Bytes(), out: asSecond.Bytes(), reason: Rewritten, by: 2},
			{dir: opposite(dir), frame: asFirst.Reply().Bytes(), out: first.Reply().Bytes(), reason: Reply},
			{dir: opposite(dir), frame: asSecond.Reply().Bytes(), out: second.Reply().Bytes(), reason: Reply},
		}
		again := slices.Clone(both)
		both[1].moved = 1
		converse(t, []rules.Rule{rule, also}, append(both, again...)...)
	})
}

// The same applies to a direct connection to the target port, in either order.
func TestDirectConnectionGetsAnotherPort(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		pass := rules.Rule{Direction: dir, Protocol: rule.Protocol, Action: rules.Pass, Ports: rules.PortRange{First: 8080, Last: 8080}}
		direct, moved := first.WithPorts(1024, 8080), first.WithPorts(1025, 8080)
		rewritten := step{dir: dir, frame: first.Bytes(), out: direct.Bytes(), reason: Rewritten, by: 1}
		for by, list := range map[int][]rules.Rule{0: {rule}, 2: {rule, pass}} {
			reason := map[int]Reason{0: NoRule, 2: PassRule}[by]
			converse(t, list, rewritten,
				step{dir: dir, frame: direct.Bytes(), out: moved.Bytes(), reason: Moved, by: by, moved: 1},
				step{dir: opposite(dir), frame: moved.Reply().Bytes(), out: direct.Reply().Bytes(), reason: MovedReply},
				step{dir: opposite(dir), frame: direct.Reply().Bytes(), out: first.Reply().Bytes(), reason: Reply},
				step{dir: dir, frame: direct.Bytes(), out: moved.Bytes(), reason: Moved, by: by},
				rewritten)
			converse(t, list,
				step{dir: dir, frame: direct.Bytes(), reason: reason, by: by},
				step{dir: dir, frame: first.Bytes(), out: moved.Bytes(), reason: Rewritten, by: 1, moved: 1},
				step{dir: opposite(dir), frame: moved.Reply().Bytes(), out: first.Reply().Bytes(), reason: Reply},
				step{dir: opposite(dir), frame: direct.Reply().Bytes(), reason: NoRule},
				step{dir: dir, frame: direct.Bytes(), reason: reason, by: by})
		}
	})
}

func TestOneWay(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		rewritten := first.WithPorts(1024, 8080)
		converse(t, []rules.Rule{oneWay(rule)},
			step{dir: dir, frame: first.Bytes(), out: rewritten.Bytes(), reason: RewrittenOneWay, by: 1},
			step{dir: opposite(dir), frame: rewritten.Reply().Bytes(), reason: NoRule})
	})
}

func TestOneWayLeavesFlow(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		also := oneWay(rewrite(dir, rule.Protocol, 81))
		second, rewritten := first.WithPorts(1024, 81), first.WithPorts(1024, 8080)
		converse(t, []rules.Rule{rule, also},
			step{dir: dir, frame: first.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
			step{dir: dir, frame: second.Bytes(), out: rewritten.Bytes(), reason: RewrittenOneWay, by: 2},
			step{dir: opposite(dir), frame: rewritten.Reply().Bytes(), out: first.Reply().Bytes(), reason: Reply})
	})
}

func TestUDPWithoutChecksum(t *testing.T) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			none := packet.UDP{Source: 1024, Destination: 80, NoChecksum: true, Payload: []byte("x")}
			p := f.from(none)
			rewritten := p.WithPorts(1024, 8080)
			converse(t, []rules.Rule{rewrite(out, rules.UDP, 80)},
				step{dir: out, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
				step{dir: in, frame: rewritten.Reply().Bytes(), out: p.Reply().Bytes(), reason: Reply})
		})
	}
}

// All payload words together produce every checksum, including 0 and 0xffff.
func TestEveryChecksum(t *testing.T) {
	rule := []rules.Rule{rewrite(out, rules.UDP, 80), rewrite(out, rules.TCP, 80)}
	for word := range 65536 {
		payload := []byte{byte(word >> 8), byte(word)}
		for by, p := range []packet.Packet{
			v4.from(packet.UDP{Source: 1024, Destination: 80, Payload: payload}),
			v6.from(packet.TCP{Source: 1024, Destination: 80, Payload: payload}),
		} {
			converse(t, rule, step{dir: out, frame: p.Bytes(), out: p.WithPorts(1024, 8080).Bytes(), reason: Rewritten, by: by + 1})
		}
	}
}

func TestAmbiguousChecksumIsComplete(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		p := first.Ambiguous()
		converse(t, []rules.Rule{rule},
			step{dir: dir, frame: p.Bytes(), out: p.WithPorts(1024, 8080).Bytes(), reason: Rewritten, by: 1})
	})
}

// A first fragment has the checksum of the whole datagram.
func TestFirstFragment(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		first.Fragment = &packet.Fragment{Length: 24, More: true}
		rewritten := first.WithPorts(1024, 8080)
		reply := rewritten.Reply()
		converse(t, []rules.Rule{rule},
			step{dir: dir, frame: first.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
			step{dir: opposite(dir), frame: reply.Bytes(), out: first.Reply().Bytes(), reason: Reply})
	})
}

// tiny returns a first TCP fragment that ends before the checksum.
func tiny(p packet.Packet) []byte {
	p.Fragment = &packet.Fragment{Length: 8, More: true}
	return p.Bytes()
}

func TestFragmentWithoutChecksum(t *testing.T) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			list := []rules.Rule{
				rewrite(out, rules.TCP, 80), decide(rules.Drop, rules.TCP, 25), decide(rules.Pass, rules.TCP, 8080),
				oneWay(rewrite(out, rules.TCP, 81)),
			}
			whole, rewritten := f.from(tcp(1024, 80)), f.from(tcp(1024, 8080))
			converse(t, list,
				step{dir: out, frame: tiny(f.from(tcp(1024, 25))), reason: DropRule, by: 2},
				step{dir: out, frame: tiny(f.from(tcp(1024, 22))), reason: Damaged},
				step{dir: out, frame: tiny(whole), reason: Damaged},
				step{dir: out, frame: tiny(f.from(tcp(1024, 81))), reason: Damaged},
				// It has created no flow,
				step{dir: in, frame: rewritten.Reply().Bytes(), reason: NoRule},
				step{dir: out, frame: whole.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
				step{dir: in, frame: tiny(rewritten.Reply()), reason: Damaged},
				// and it does not end one.
				step{dir: out, frame: tiny(rewritten), reason: Damaged},
				step{dir: in, frame: rewritten.Reply().Bytes(), out: whole.Reply().Bytes(), reason: Reply},
			)
		})
	}
}

func TestFlowsAreApart(t *testing.T) {
	list := []rules.Rule{
		rewrite(out, rules.UDP, 80), rewrite(out, rules.TCP, 80), rewrite(in, rules.UDP, 80),
	}
	other := v4
	other.peer = router4
	converse(t, list,
		step{dir: out, frame: v4.from(udp(1024, 80)).Bytes(), out: v4.from(udp(1024, 8080)).Bytes(), reason: Rewritten, by: 1},
		step{dir: in, frame: v4.to(tcp(8080, 1024)).Bytes(), reason: NoRule},
		step{dir: in, frame: other.to(udp(8080, 1024)).Bytes(), reason: NoRule},
		step{dir: in, frame: v6.to(udp(8080, 1024)).Bytes(), reason: NoRule},
		// The key of an ingress flow has the container's own port.
		step{dir: out, frame: v4.from(udp(8080, 1024)).Bytes(), reason: NoRule},
	)
}
