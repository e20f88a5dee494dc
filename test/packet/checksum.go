package packet

import (
	"encoding/binary"
	"net/netip"
)

// sum returns the one's complement sum of RFC 1071 over all parts, each padded to an
// even number of bytes. A checksum is its complement.
func sum(parts ...[]byte) uint16 {
	var total uint64
	for _, part := range parts {
		for ; len(part) > 1; part = part[2:] {
			total += uint64(binary.BigEndian.Uint16(part))
		}
		if len(part) == 1 {
			total += uint64(part[0]) << 8
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// addresses are the addresses of the pseudo-header.
type addresses struct {
	source, destination netip.Addr
}

// pseudoHeader returns the pseudo-header of IPv6, RFC 8200 section 8.1. That of IPv4,
// RFC 9293 section 3.1, has the same sum.
func (a addresses) pseudoHeader(protocol uint8, length int) []byte {
	header := append(a.source.AsSlice(), a.destination.AsSlice()...)
	header = binary.BigEndian.AppendUint32(header, uint32(length))
	return append(header, 0, 0, 0, protocol)
}

func (a addresses) sum(protocol uint8, load []byte) uint16 {
	return sum(a.pseudoHeader(protocol, len(load)), load)
}

// Ambiguous returns a TCP or UDP packet with a complete checksum that equals the folded
// sum of its pseudo-header. A packet with a partial checksum (CHECKSUM_PARTIAL) has
// this sum in its checksum field, so the bytes do not show which of the two it is.
// Ambiguous changes the first two bytes of the payload. The packet must have a
// checksum.
//
// For one pseudo-header in 65,536, the one with the sum 0xffff, there is no TCP segment
// like that.
func (p Packet) Ambiguous() Packet {
	p = p.withFirstWord(0)
	ends := addresses{p.Source, p.Destination}
	load := p.Load.bytes(ends)
	protocol := p.Load.protocol(p.ipv6())
	at := 6 // the checksum in UDP
	if protocol == ProtocolTCP {
		at = 16
	}
	// Checksum = ~(rest + word) must equal pseudo, so word = ~pseudo - rest. The
	// checksum with a word of 0 is -rest.
	pseudo := sum(ends.pseudoHeader(protocol, len(load)))
	word := binary.BigEndian.AppendUint16(nil, ^pseudo)
	return p.withFirstWord(sum(word, load[at:at+2]))
}

// withFirstWord replaces the first two bytes of the payload of TCP or UDP.
func (p Packet) withFirstWord(word uint16) Packet {
	replace := func(payload []byte) []byte {
		rest := payload[min(2, len(payload)):]
		return append(binary.BigEndian.AppendUint16(nil, word), rest...)
	}
	switch load := p.Load.(type) {
	case TCP:
		load.Payload = replace(load.Payload)
		p.Load = load
	case UDP:
		load.Payload = replace(load.Payload)
		p.Load = load
	}
	return p
}
