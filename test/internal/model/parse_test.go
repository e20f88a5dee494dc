package model

import (
	"maps"
	"slices"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// dropAll returns rules that match every TCP and UDP packet of the container. A packet
// that passes has not been parsed.
func dropAll() []rules.Rule {
	return []rules.Rule{
		{Protocol: rules.TCP, Action: rules.Drop, Ports: rules.EveryPort},
		{Protocol: rules.UDP, Action: rules.Drop, Ports: rules.EveryPort},
	}
}

func extensions(protocols ...uint8) []packet.Extension {
	var all []packet.Extension
	for _, protocol := range protocols {
		all = append(all, packet.Extension{Protocol: protocol})
	}
	return all
}

var (
	v4 = families["ipv4"]
	v6 = families["ipv6"]
)

func TestMalformed(t *testing.T) {
	plain4, plain6, segment := v4.from(udp(1, 2)), v6.from(udp(1, 2)), v4.from(tcp(1, 2))
	frame4, frame6, frameTCP := plain4.Bytes(), plain6.Bytes(), segment.Bytes()
	tagged := plain4
	tagged.Tags = []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 1}, {EtherType: packet.EtherTypeProvider, ID: 2}}
	extended := plain6
	extended.Extensions = extensions(packet.ProtocolHopByHop)
	fragmented := plain6
	fragmented.Fragment = &packet.Fragment{Length: 8, More: true}
	for name, frame := range map[string][]byte{
		"Ethernet, 13 bytes":             packet.Truncate(frame4, 13),
		"first tag cut":                  packet.Truncate(tagged.Bytes(), 17),
		"second tag cut":                 packet.Truncate(tagged.Bytes(), 21),
		"IPv4, 19 bytes":                 packet.Truncate(frame4, 14+19),
		"IPv4, version 5":                packet.Set8(frame4, 14, 0x55),
		"IPv4, header of 16 bytes":       packet.Set8(frame4, 14, 0x44),
		"IPv4, options cut":              packet.Set8(packet.Truncate(frame4, 14+20), 14, 0x46),
		"IPv4, length within the header": packet.Set16(frame4, 16, 19),
		"IPv4, length beyond the frame":  packet.Set16(frame4, 16, uint16(len(frame4)-14+1)),
		"IPv6, 39 bytes":                 packet.Truncate(frame6, 14+39),
		"IPv6, version 4":                packet.Set8(frame6, 14, 0x40),
		"IPv6, length beyond the frame":  packet.Set16(frame6, 18, uint16(len(frame6)-54+1)),
		"extension cut":                  packet.Set16(extended.Bytes(), 18, 7),
		"extension longer than packet":   packet.Set8(extended.Bytes(), 55, 4),
		"fragment header cut":            packet.Set16(fragmented.Bytes(), 18, 7),
		"UDP, 3 bytes":                   packet.Set16(frame4, 16, 23),
		"TCP fragment, 3 bytes":          packet.Set16(packet.Set16(frameTCP, 16, 23), 20, 0x2000),
		"ICMP, 7 bytes":                  packet.Set16(v4.from(packet.Echo{}).Bytes(), 16, 27),
		"ICMPv6, 7 bytes":                packet.Set16(v6.from(packet.Echo{}).Bytes(), 18, 7),
	} {
		t.Run(name, func(t *testing.T) {
			converse(t, dropAll(), step{dir: out, frame: frame, reason: Malformed})
		})
	}
}

// TestDamaged sends packets with nothing valid but the ports. Rules that drop apply to
// them, other rules do not.
func TestDamaged(t *testing.T) {
	frame4, frame6 := v4.from(udp(1, 80)).Bytes(), v6.from(udp(1, 80)).Bytes()
	frameTCP := v4.from(tcp(1, 80)).Bytes()
	for name, frame := range map[string][]byte{
		"UDP, 7 bytes":              packet.Set16(frame4, 16, 27),
		"UDP length 7":              packet.Set16(frame4, 38, 7),
		"UDP length 0":              packet.Set16(frame4, 38, 0),
		"UDP length beyond packet":  packet.Set16(frame4, 38, 1000),
		"UDP in IPv6, length 7":     packet.Set16(frame6, 58, 7),
		"TCP, 19 bytes":             packet.Set16(frameTCP, 16, 39),
		"TCP, header of 16 bytes":   packet.Set8(frameTCP, 46, 4<<4),
		"TCP, header beyond packet": packet.Set8(frameTCP, 46, 15<<4),
	} {
		t.Run(name, func(t *testing.T) {
			rewrites := []rules.Rule{rewrite(out, rules.TCP, 80), rewrite(out, rules.UDP, 80)}
			converse(t, rewrites, step{dir: out, frame: frame, reason: Damaged})
			by := 1 // the rule for TCP
			if frame[23] == packet.ProtocolUDP || frame[20] == packet.ProtocolUDP {
				by = 2
			}
			drops := []rules.Rule{decide(rules.Drop, rules.TCP, 80), decide(rules.Drop, rules.UDP, 80)}
			converse(t, drops, step{dir: out, frame: frame, reason: DropRule, by: by})
		})
	}
}

// TestSegmentsLeft sends packets to a waypoint. Rules that drop apply to them. Other
// rules do not, nor to their replies and quotes.
func TestSegmentsLeft(t *testing.T) {
	for proto, load := range map[rules.Protocol]packet.Load{rules.TCP: tcp(1024, 80), rules.UDP: udp(1024, 80)} {
		t.Run(proto.String(), func(t *testing.T) {
			first := v6.from(load)
			rewritten := first.WithPorts(1024, 8080)
			routed := func(p packet.Packet, segments byte) packet.Packet {
				p.Extensions = []packet.Extension{{Protocol: packet.ProtocolRouting, Data: []byte{4, segments}}}
				return p
			}
			rewrites := []rules.Rule{rewrite(out, proto, 80)}
			converse(t, rewrites,
				step{dir: out, frame: routed(first, 1).Bytes(), reason: Routed},
				step{dir: out, frame: routed(first, 0).Bytes(), out: routed(rewritten, 0).Bytes(), reason: Rewritten, by: 1},
				step{dir: in, frame: routed(rewritten.Reply(), 1).Bytes(), reason: Routed},
				step{dir: in, frame: failed(routed(rewritten, 1), 0).Bytes(), reason: ErrorUnusable},
			)
			converse(t, []rules.Rule{decide(rules.Drop, proto, 80)},
				step{dir: out, frame: routed(first, 1).Bytes(), reason: DropRule, by: 1})
			converse(t, []rules.Rule{decide(rules.Pass, proto, 80)},
				step{dir: out, frame: routed(first, 1).Bytes(), reason: Routed})
		})
	}
}

// TestUDPLengthZero uses a UDP length of 0. In IPv6, Linux takes it as the rest of the
// packet.
func TestUDPLengthZero(t *testing.T) {
	drops := []rules.Rule{decide(rules.Drop, rules.UDP, 80)}
	frame := packet.Set16(v6.from(udp(1, 80)).Bytes(), 58, 0)
	converse(t, drops, step{dir: out, frame: frame, reason: DropRule, by: 1})
}

func TestNotOurs(t *testing.T) {
	with := func(f family, change func(p *packet.Packet)) []byte {
		p := f.from(udp(1, 2))
		change(&p)
		return p.Bytes()
	}
	tag := packet.Tag{EtherType: packet.EtherTypeVLAN, ID: 1}
	// The parser stops after eight extension headers.
	nine := extensions(slices.Repeat([]uint8{packet.ProtocolDestinationOptions}, 9)...)
	for name, frame := range map[string][]byte{
		"ARP":             with(v4, func(p *packet.Packet) { p.EtherType = packet.EtherTypeARP }),
		"three tags":      with(v4, func(p *packet.Packet) { p.Tags = []packet.Tag{tag, tag, tag} }),
		"IPv4 fragment":   with(v4, func(p *packet.Packet) { p.Fragment = &packet.Fragment{Offset: 8} }),
		"IPv6 fragment":   with(v6, func(p *packet.Packet) { p.Fragment = &packet.Fragment{Offset: 8, More: true} }),
		"AH in IPv6":      with(v6, func(p *packet.Packet) { p.Extensions = extensions(packet.ProtocolAuthentication) }),
		"nine extensions": with(v6, func(p *packet.Packet) { p.Extensions = nine }),
		"GRE":             v4.from(packet.Raw{Protocol: 47}).Bytes(),
		"AH in IPv4":      v4.from(packet.Raw{Protocol: packet.ProtocolAuthentication, Payload: make([]byte, 40)}).Bytes(),
		"no next header":  v6.from(packet.Raw{Protocol: packet.ProtocolNoNext}).Bytes(),
		"ICMPv6 in IPv4":  v4.from(packet.Raw{Protocol: packet.ProtocolICMPv6, Payload: []byte{1}}).Bytes(),
		"ICMP in IPv6":    v6.from(packet.Raw{Protocol: packet.ProtocolICMP, Payload: []byte{3}}).Bytes(),
		"echo":            v4.from(packet.Echo{}).Bytes(),
		"ICMPv6 echo":     v6.from(packet.Echo{}).Bytes(),
		"ICMP type 6":     v4.from(packet.Error{Type: 6}).Bytes(),
		"ICMPv6 type 5":   v6.from(packet.Error{Type: 5}).Bytes(),
		"ICMPv6 type 0":   v6.from(packet.Error{Type: 0}).Bytes(),
		"ICMP type 5 v6":  v6.from(packet.Error{Type: packet.ICMPRedirect}).Bytes(),
		"ICMP type 1 v4":  v4.from(packet.Error{Type: packet.ICMPv6Unreachable}).Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			converse(t, dropAll(), step{dir: out, frame: frame, reason: NotOurs})
		})
	}
}

func TestParsed(t *testing.T) {
	frames := map[string][]byte{
		"UDP length 0, IP length 0": func() []byte {
			p := v6.from(udp(1, 2))
			p.NoLength = true
			return packet.Set16(p.Bytes(), 58, 0)
		}(),
		"UDP shorter than IP": packet.Set16(v4.from(udp(1, 2)).Bytes(), 38, 8),
		"UDP fragment, whose length is that of all": func() []byte {
			p := v4.from(udp(1, 2))
			p.Fragment = &packet.Fragment{Length: 8, More: true}
			return p.Bytes()
		}(),
		"TCP fragment of ports": func() []byte {
			p := v6.from(tcp(1, 2))
			p.Fragment = &packet.Fragment{Length: 8, More: true}
			return packet.Set16(p.Bytes(), 18, 12) // 8 of fragment header, 4 of TCP
		}(),
		"TCP fragment with an impossible header": func() []byte {
			p := v4.from(tcp(1, 2))
			p.Fragment = &packet.Fragment{Length: 24, More: true}
			return packet.Set8(p.Bytes(), 46, 0xf0)
		}(),
		"eight extensions": func() []byte {
			p := v6.from(tcp(1, 2))
			p.Extensions = extensions(slices.Repeat([]uint8{packet.ProtocolRouting}, 8)...)
			return p.Bytes()
		}(),
		"all IPv4 options": func() []byte {
			p := v4.from(tcp(1, 2))
			p.Options = make([]byte, 40)
			return p.Bytes()
		}(),
	}
	for _, f := range families {
		for load, p := range map[string]packet.Packet{"tcp ": f.from(tcp(1, 2)), "udp ": f.from(udp(1, 2))} {
			for shape, p := range shapes(p) {
				frames[load+shape+f.container.String()] = p.Bytes()
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(frames)) {
		t.Run(name, func(t *testing.T) {
			m := New(dropAll())
			if _, verdict := m.FromContainer(frames[name]); verdict != Drop || m.Counters.Dropped != 1 {
				t.Errorf("%v, %s; want it dropped by a rule", verdict, m.Reason)
			}
		})
	}
}

// A second fragment header does not cancel the first one.
func TestFirstFragmentInFragment(t *testing.T) {
	p := v6.from(udp(1, 80))
	p.Extensions = []packet.Extension{
		{Protocol: packet.ProtocolFragment, Data: []byte{0, 1}},
		{Protocol: packet.ProtocolFragment, Data: []byte{0, 0}},
	}
	frame := packet.Set16(p.Bytes(), p.TransportOffset()+4, 1000)
	converse(t, dropAll(), step{dir: out, frame: frame, reason: DropRule, by: 2})
}
