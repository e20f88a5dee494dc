// Package packet builds network packets for tests. It turns a description into a frame
// with correct lengths and checksums. Mutators then damage the frame.
//
// The package shares no code with the programs under test. It computes every checksum
// over the whole packet, never incrementally. It does not support IPv6 jumbogram
// options, nor IPv4 with an authentication header.
package packet

import (
	"encoding/binary"
	"net/netip"
)

// EtherTypes (IEEE 802).
const (
	EtherTypeIPv4      = 0x0800
	EtherTypeARP       = 0x0806
	EtherTypeVLAN      = 0x8100 // IEEE 802.1Q
	EtherTypeIPv6      = 0x86dd
	EtherTypeProvider  = 0x88a8 // IEEE 802.1ad
	ethernetHeaderSize = 14
	tagSize            = 4
)

// Packet describes an Ethernet frame with an IP packet. Source and Destination
// determine the family. All numbers are in host byte order; Bytes writes them in
// network byte order.
type Packet struct {
	// Tags are VLAN tags inside the frame, outermost first.
	Tags []Tag
	// EtherType replaces the EtherType of IPv4 or IPv6 unless it is 0.
	EtherType           uint16
	Source, Destination netip.Addr
	// Options are the options of the IPv4 header, padded to a multiple of 4 bytes, at
	// most 40 bytes.
	Options []byte
	// Extensions are IPv6 extension headers, in this order.
	Extensions []Extension
	// Fragment selects a part of Load; nil means all of it.
	Fragment *Fragment
	// NoLength sets the length field of the IP header to 0, as in jumbograms (RFC 2675)
	// and Linux's BIG TCP.
	NoLength bool
	// Load is the payload of the IP packet.
	Load Load
	// Padding is the number of bytes behind the IP packet.
	Padding int
}

// Tag is a VLAN tag.
type Tag struct {
	EtherType uint16 // EtherTypeVLAN or EtherTypeProvider
	ID        uint16
}

// Fragment is a part of an IP payload, RFC 791 section 3.2 and RFC 8200 section 4.5. In
// IPv6 the fragment header follows the other extension headers.
type Fragment struct {
	// Offset is in bytes, a multiple of 8.
	Offset int
	// Length is in bytes and limited to what is there; 0 means the rest.
	Length int
	// More means that more fragments follow.
	More bool
}

// Load is the payload of an IP packet: TCP, UDP, Echo, Error or Raw.
type Load interface {
	// protocol returns the IP protocol number.
	protocol(ipv6 bool) uint8
	// bytes returns the header and payload, including the checksum.
	bytes(ends addresses) []byte
}

// Bytes returns the frame.
func (p Packet) Bytes() []byte {
	etherType := p.EtherType
	if etherType == 0 {
		etherType = EtherTypeIPv4
		if p.ipv6() {
			etherType = EtherTypeIPv6
		}
	}
	frame := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	for _, tag := range p.Tags {
		frame = binary.BigEndian.AppendUint16(frame, tag.EtherType)
		frame = binary.BigEndian.AppendUint16(frame, tag.ID)
	}
	frame = binary.BigEndian.AppendUint16(frame, etherType)
	frame = append(frame, p.IP()...)
	for range p.Padding {
		frame = append(frame, 0xee)
	}
	return frame
}

// IP returns the IP packet without the Ethernet header, as an ICMP error quotes it.
func (p Packet) IP() []byte {
	load := p.Load.bytes(addresses{p.Source, p.Destination})
	load = p.Fragment.cut(load)
	if p.ipv6() {
		return append(p.ipv6Header(len(load)), load...)
	}
	return append(p.ipv4Header(len(load)), load...)
}

func (p Packet) ipv6() bool {
	return p.Source.Is6()
}

func (f *Fragment) cut(load []byte) []byte {
	if f == nil {
		return load
	}
	load = load[min(f.Offset, len(load)):]
	if f.Length > 0 {
		load = load[:min(f.Length, len(load))]
	}
	return load
}

// NetworkOffset returns the offset of the IP header in Bytes.
func (p Packet) NetworkOffset() int {
	return ethernetHeaderSize + len(p.Tags)*tagSize
}

// TransportOffset returns the offset of Load in Bytes.
func (p Packet) TransportOffset() int {
	if p.ipv6() {
		return p.NetworkOffset() + len(p.ipv6Header(0))
	}
	return p.NetworkOffset() + len(p.ipv4Header(0))
}
