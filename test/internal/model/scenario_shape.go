package model

import (
	"slices"

	"github.com/xdp-port/xdp-port/test/packet"
)

// shape changes the structure of an IP packet, in most cases without an effect on its
// result.
func (s *Scenario) shape(p packet.Packet) packet.Packet {
	if s.chance(10) {
		p.Options = make([]byte, s.random.IntN(41)) // IPv4 only
	}
	if s.chance(20) {
		p.Extensions = s.extensions(1 + s.random.IntN(4)) // IPv6 only
	}
	if s.chance(2) {
		p.Extensions = s.extensions(7 + s.random.IntN(3))
	}
	if s.chance(10) {
		p.Fragment = s.fragment()
	}
	p.NoLength = s.chance(3)
	if isTransport(p) && s.chance(3) {
		p = p.Ambiguous()
	}
	return p
}

// wrap returns a frame around an IP packet, in different ways.
func (s *Scenario) wrap(p packet.Packet) []byte {
	if s.chance(15) {
		for range 1 + s.random.IntN(20)*s.random.IntN(20)/150 {
			p.Tags = append(p.Tags, packet.Tag{
				EtherType: pick(s, []uint16{packet.EtherTypeVLAN, packet.EtherTypeProvider}),
				ID:        uint16(s.random.Uint32()),
			})
		}
	}
	if s.chance(10) {
		p.Padding = s.random.IntN(30)
	}
	return p.Bytes()
}

func isTransport(p packet.Packet) bool {
	switch p.Load.(type) {
	case packet.TCP, packet.UDP:
		return true
	}
	return false
}

func (s *Scenario) extensions(n int) []packet.Extension {
	var all []packet.Extension
	for range n {
		protocol := pick(s, []uint8{
			packet.ProtocolHopByHop, packet.ProtocolRouting, packet.ProtocolDestinationOptions, packet.ProtocolHopByHop,
			packet.ProtocolRouting, packet.ProtocolDestinationOptions, packet.ProtocolAuthentication,
		})
		data := make([]byte, s.random.IntN(24))
		if len(data) > 1 && s.chance(20) {
			data[1] = byte(s.random.IntN(3)) // segments left, of a routing header
		}
		all = append(all, packet.Extension{Protocol: protocol, Data: data})
	}
	return all
}

// fragment returns a fragment, most often the first one, and often one that ends before
// the TCP checksum.
func (s *Scenario) fragment() *packet.Fragment {
	switch s.random.IntN(8) {
	case 0:
		return &packet.Fragment{Offset: 8 * s.random.IntN(3), More: s.chance(50)}
	case 1:
		return &packet.Fragment{} // an atomic one in IPv6
	}
	return &packet.Fragment{Length: pick(s, []int{4, 7, 8, 8, 8, 16, 19, 20, 24, 32}), More: true}
}

// damage corrupts a few of the frames in ways that no correct sender does.
func (s *Scenario) damage(frame []byte) []byte {
	if s.chance(4) {
		frame = packet.Truncate(frame, max(14, s.random.IntN(len(frame)+1)))
	}
	if s.chance(6) {
		frame = s.damageAt(frame, 12)
	}
	return frame
}

// damageAt flips a few bits behind an offset, or sets a number to a typical wrong
// value.
func (s *Scenario) damageAt(data []byte, offset int) []byte {
	data = slices.Clone(data)
	headers := min(len(data), 100)
	for range 1 + s.random.IntN(2) {
		if headers-offset < 2 {
			break
		}
		at := offset + s.random.IntN(headers-offset-1)
		switch s.random.IntN(4) {
		case 0:
			data = packet.Set8(data, at, pick(s, []uint8{0, 1, 4, 5, 6, 7, 8, 17, 44, 51, 60, 58, 0x45, 0x60, 255}))
		case 1:
			data = packet.Set16(data, at&^1, pick(s, []uint16{0, 1, 7, 8, 19, 20, 0x2000, 0xffff, uint16(len(data) - 14)}))
		default:
			data = packet.Flip(data, at*8+s.random.IntN(8))
		}
	}
	return data
}
