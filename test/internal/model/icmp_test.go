package model

import (
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// failed returns an ICMP error about a packet, from a router to its sender. The error
// quotes up to n bytes of the packet; 0 means all.
func failed(about packet.Packet, n int) packet.Packet {
	quoted := about.IP()
	if n > 0 {
		quoted = quoted[:min(n, len(quoted))]
	}
	if about.Source.Is6() {
		return packet.Packet{
			Source: router6, Destination: about.Source,
			Load: packet.Error{Type: packet.ICMPv6PacketTooBig, Rest: 1280, Quoted: quoted},
		}
	}
	return packet.Packet{
		Source: router4, Destination: about.Source,
		Load: packet.Error{Type: packet.ICMPUnreachable, Code: 3, Quoted: quoted},
	}
}

// headers returns the size of a packet's IP headers.
func headers(p packet.Packet) int {
	return p.TransportOffset() - p.NetworkOffset()
}

func TestErrorQuotesForward(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		rewritten := first.WithPorts(1024, 8080)
		flow := step{dir: dir, frame: first.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1}
		back := opposite(dir)
		for name, p := range shapes(rewritten) {
			t.Run(name, func(t *testing.T) {
				p.Padding, p.Tags = 0, nil
				original := p.WithPorts(1024, 80)
				whole := failed(p, 0)
				converse(t, []rules.Rule{rule},
					step{dir: back, frame: whole.Bytes(), reason: ErrorNoFlow},
					flow,
					step{dir: back, frame: whole.Bytes(), out: failed(original, 0).Bytes(), reason: ErrorForward},
					step{dir: back, frame: failed(p.WithPorts(1025, 8080), 0).Bytes(), reason: ErrorNoFlow},
					// Errors in the direction of the flow quote replies.
					step{dir: dir, frame: whole.Bytes(), reason: ErrorNoFlow},
				)
			})
		}
	})
}

func TestErrorQuotesReply(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		rewritten := first.WithPorts(1024, 8080)
		for name, p := range shapes(first.Reply()) {
			t.Run(name, func(t *testing.T) {
				p.Padding, p.Tags = 0, nil
				wire := p.WithPorts(8080, 1024)
				converse(t, []rules.Rule{rule},
					step{dir: dir, frame: failed(p, 0).Bytes(), reason: ErrorNoFlow},
					step{dir: dir, frame: first.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
					step{dir: dir, frame: failed(p, 0).Bytes(), out: failed(wire, 0).Bytes(), reason: ErrorReply},
					step{dir: dir, frame: failed(p.WithPorts(80, 1025), 0).Bytes(), reason: ErrorNoFlow},
				)
			})
		}
	})
}

// TestRedirectQuotes puts the packet into an option, behind other options.
func TestRedirectQuotes(t *testing.T) {
	first := v6.from(udp(1024, 80))
	rewritten := first.WithPorts(1024, 8080)
	redirected := func(about packet.Packet, options int) []byte {
		return packet.Packet{Source: router6, Destination: about.Source, Load: packet.Error{
			Type: packet.ICMPv6Redirect, Quoted: packet.Redirected(about.IP(), options),
		}}.Bytes()
	}
	steps := []step{{dir: out, frame: first.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1}}
	for options := range 4 {
		steps = append(steps, step{dir: in, frame: redirected(rewritten, options), out: redirected(first, options), reason: ErrorForward})
	}
	steps = append(steps, step{dir: in, frame: redirected(rewritten, 4), reason: ErrorUnusable})
	none := packet.Packet{Source: router6, Destination: first.Source, Load: packet.Error{
		Type: packet.ICMPv6Redirect, Quoted: make([]byte, 32),
	}}
	steps = append(steps, step{dir: in, frame: none.Bytes(), reason: ErrorUnusable})
	converse(t, []rules.Rule{rewrite(out, rules.UDP, 80)}, steps...)
}

// Without a quoted checksum, the checksum of the error changes.
func TestErrorQuotesPart(t *testing.T) {
	everywhere(t, func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet) {
		rewritten := first.WithPorts(1024, 8080)
		flow := step{dir: dir, frame: first.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1}
		for _, n := range []int{8, 16, 18, 20} {
			// The original checksum is correct, so the restored one is too if it is
			// quoted.
			n += headers(first)
			converse(t, []rules.Rule{rule}, flow,
				step{dir: opposite(dir), frame: failed(rewritten, n).Bytes(), out: failed(first, n).Bytes(), reason: ErrorForward})
		}
		converse(t, []rules.Rule{rule}, flow,
			step{dir: opposite(dir), frame: failed(rewritten, headers(first)+7).Bytes(), reason: ErrorUnusable})
	})
}

// Half a checksum stays unchanged.
func TestErrorQuotesHalfAChecksum(t *testing.T) {
	p := v4.from(tcp(1024, 8080))
	n := headers(p)
	half := p.IP()[:n+17]
	answer := func(quoted []byte) []byte {
		return v4.to(packet.Error{Type: packet.ICMPTimeExceeded, Quoted: quoted}).Bytes()
	}
	converse(t, []rules.Rule{rewrite(out, rules.TCP, 80)},
		step{dir: out, frame: p.WithPorts(1024, 80).Bytes(), out: p.Bytes(), reason: Rewritten, by: 1},
		step{dir: in, frame: answer(half), out: answer(packet.Set16(half, n+2, 80)), reason: ErrorForward})
}

func TestErrorQuotesUDPWithoutChecksum(t *testing.T) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			p := f.from(packet.UDP{Source: 1024, Destination: 80, NoChecksum: true})
			rewritten := p.WithPorts(1024, 8080)
			converse(t, []rules.Rule{rewrite(out, rules.UDP, 80)},
				step{dir: out, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
				step{dir: in, frame: failed(rewritten, 0).Bytes(), out: failed(p, 0).Bytes(), reason: ErrorForward},
				step{dir: out, frame: failed(p.Reply(), 0).Bytes(), out: failed(rewritten.Reply(), 0).Bytes(), reason: ErrorReply})
		})
	}
}

func TestErrorTypes(t *testing.T) {
	for name, kinds := range map[string][]uint8{"ipv4": {3, 4, 5, 11, 12}, "ipv6": {1, 2, 3, 4}} {
		f := families[name]
		p, rewritten := f.from(udp(1024, 80)), f.from(udp(1024, 8080))
		for _, kind := range kinds {
			answer := func(about packet.Packet) []byte {
				return f.to(packet.Error{Type: kind, Rest: 7, Quoted: about.IP()}).Bytes()
			}
			converse(t, []rules.Rule{rewrite(out, rules.UDP, 80)},
				step{dir: out, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
				step{dir: in, frame: answer(rewritten), out: answer(p), reason: ErrorForward})
		}
	}
}

// A flow does not restore ports that no present rule would rewrite.
func TestErrorQuotesReplyOfOtherRule(t *testing.T) {
	pass := decide(rules.Pass, rules.UDP, 80)
	pass.Peers = nil
	p, rewritten, moved := v4.from(udp(1024, 80)), v4.from(udp(1024, 8080)), v4.from(udp(1025, 8080))
	reply := failed(p.Reply(), 0).Bytes()
	first := step{dir: out, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1}
	// The flow of port 81 has a translated source port.
	also := rewrite(out, rules.UDP, 81)
	converse(t, []rules.Rule{rewrite(out, rules.UDP, 80), also}, first,
		step{dir: out, frame: v4.from(udp(1024, 81)).Bytes(), out: moved.Bytes(), reason: Rewritten, by: 2, moved: 1},
		step{dir: out, frame: reply, out: failed(rewritten.Reply(), 0).Bytes(), reason: ErrorReply},
		step{dir: in, frame: failed(moved, 0).Bytes(), out: failed(v4.from(udp(1024, 81)), 0).Bytes(), reason: ErrorForward},
		step{dir: out, frame: failed(v4.to(udp(81, 1024)), 0).Bytes(), out: failed(moved.Reply(), 0).Bytes(), reason: ErrorReply})
	// One-way rules keep no flows.
	converse(t, []rules.Rule{oneWay(rewrite(out, rules.UDP, 80)), also},
		step{dir: out, frame: v4.from(udp(1024, 81)).Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 2},
		step{dir: out, frame: reply, reason: ErrorNoFlow})
	// Flows outlive a replacement of rules.
	m := New([]rules.Rule{rewrite(out, rules.UDP, 80)})
	m.FromContainer(p.Bytes())
	m.Rules = []rules.Rule{pass}
	if m.FromContainer(reply); m.Reason != ErrorNoFlow {
		t.Errorf("after the rule is gone: %s", m.Reason)
	}
}

func TestUnusableQuotes(t *testing.T) {
	quote := func(f family, change func(p *packet.Packet)) []byte {
		p := f.from(udp(1024, 8080))
		change(&p)
		return p.IP()
	}
	answer := func(f family, quoted []byte) []byte {
		kind := uint8(packet.ICMPUnreachable)
		if f.container.Is6() {
			kind = packet.ICMPv6Unreachable
		}
		return f.to(packet.Error{Type: kind, Quoted: quoted}).Bytes()
	}
	keep := func(*packet.Packet) {}
	set := func(quoted []byte, at int, value uint8) []byte { return packet.Set8(quoted, at, value) }
	for name, frame := range map[string][]byte{
		"nothing":             answer(v4, nil),
		"IPv4, 19 bytes":      answer(v4, quote(v4, keep)[:19]),
		"IPv4, version 6":     answer(v4, set(quote(v4, keep), 0, 0x65)),
		"IPv4, short header":  answer(v4, set(quote(v4, keep), 0, 0x44)),
		"IPv4, options cut":   answer(v4, set(quote(v4, keep)[:28], 0, 0x4f)),
		"IPv4, fragment":      answer(v4, quote(v4, func(p *packet.Packet) { p.Fragment = &packet.Fragment{Offset: 8} })),
		"IPv4, UDP, 7 bytes":  answer(v4, quote(v4, keep)[:27]),
		"IPv4, ICMP":          answer(v4, quote(v4, func(p *packet.Packet) { p.Load = packet.Echo{} })),
		"IPv6 in ICMP":        answer(v4, quote(v6, keep)),
		"IPv4 in ICMPv6":      answer(v6, quote(v4, keep)),
		"IPv6, 39 bytes":      answer(v6, quote(v6, keep)[:39]),
		"IPv6, version 4":     answer(v6, set(quote(v6, keep), 0, 0x40)),
		"IPv6, fragment":      answer(v6, quote(v6, func(p *packet.Packet) { p.Fragment = &packet.Fragment{Offset: 8} })),
		"IPv6, UDP, 7 bytes":  answer(v6, quote(v6, keep)[:47]),
		"IPv6, extension cut": answer(v6, set(quote(v6, keep)[:47], 6, packet.ProtocolHopByHop)),
		"IPv6, long extension": answer(v6, set(quote(v6, func(p *packet.Packet) {
			p.Extensions = extensions(packet.ProtocolRouting)
		}), 41, 3)),
		"IPv6, no next header": answer(v6, quote(v6, func(p *packet.Packet) { p.Load = packet.Raw{Protocol: packet.ProtocolNoNext} })),
		"IPv6, nine extensions": answer(v6, quote(v6, func(p *packet.Packet) {
			p.Extensions = extensions(60, 60, 60, 60, 60, 60, 60, 60, 60)
		})),
	} {
		t.Run(name, func(t *testing.T) {
			list := []rules.Rule{rewrite(out, rules.UDP, 80)}
			var steps []step
			for _, f := range families {
				steps = append(steps, step{dir: out, frame: f.from(udp(1024, 80)).Bytes(), out: f.from(udp(1024, 8080)).Bytes(), reason: Rewritten, by: 1})
			}
			steps = append(steps, step{dir: in, frame: frame, reason: ErrorUnusable})
			converse(t, list, steps...)
		})
	}
}

// The quote ends with the error, not with the frame.
func TestQuoteEndsWithPacket(t *testing.T) {
	p, rewritten := v4.from(udp(1024, 80)), v4.from(udp(1024, 8080))
	answer := failed(rewritten, 27)
	answer.Padding = 20
	converse(t, []rules.Rule{rewrite(out, rules.UDP, 80)},
		step{dir: out, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
		step{dir: in, frame: answer.Bytes(), reason: ErrorUnusable})
}

// A quoted first fragment has ports, and its length fields do not matter.
func TestErrorQuotesFragment(t *testing.T) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			p := f.from(udp(1024, 80))
			p.Fragment = &packet.Fragment{Length: 8, More: true}
			rewritten := p.WithPorts(1024, 8080)
			converse(t, []rules.Rule{rewrite(out, rules.UDP, 80)},
				step{dir: out, frame: p.Bytes(), out: rewritten.Bytes(), reason: Rewritten, by: 1},
				step{dir: in, frame: failed(rewritten, 0).Bytes(), out: failed(p, 0).Bytes(), reason: ErrorForward})
		})
	}
}
