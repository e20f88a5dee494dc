package model

import (
	"encoding/binary"
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// kind is the result of parsing a frame.
type kind uint8

const (
	other kind = iota
	malformed
	transport // TCP or UDP, with ports
	icmpError
)

// ip is an IP packet in a frame. Offsets count from the first byte of the frame.
type ip struct {
	ipv6                bool
	source, destination netip.Addr
	protocol            uint8
	// load is the offset of the transport header, end the offset behind the packet.
	load, end int
	// fragment is set for a first fragment.
	fragment bool
	// noLength is set if the length field of the header is 0.
	noLength bool
	// checksum is the offset of the transport checksum, 0 if there is none.
	checksum int
	// damaged is set if the ports are valid but the rest of the transport header is
	// not. Rules that drop still apply.
	damaged bool
	// routed is set if the destination is a waypoint and not yet the peer (RFC 8200
	// section 4.4). Rules that drop still apply.
	routed bool
}

// redirect is the ICMPv6 type of RFC 4861 section 4.5.
const redirect = 137

const (
	maxTags       = 2
	maxExtensions = 8
)

// parse parses the frame up to the ports, or up to the quote of an ICMP error.
func (x *examination) parse() kind {
	if len(x.frame) < 14 {
		return malformed
	}
	at := 14
	for range maxTags {
		if !isTag(x.u16(at - 2)) {
			break
		}
		if len(x.frame) < at+4 {
			return malformed
		}
		at += 4
	}
	switch x.u16(at - 2) {
	case 0x0800:
		return x.parseIPv4(at)
	case 0x86dd:
		return x.parseIPv6(at)
	}
	return other
}

func isTag(etherType uint16) bool {
	return etherType == 0x8100 || etherType == 0x88a8
}

// u16 reads a number in network byte order.
func (x *examination) u16(at int) uint16 {
	return binary.BigEndian.Uint16(x.frame[at:])
}

func (x *examination) u32(at int) uint32 {
	return binary.BigEndian.Uint32(x.frame[at:])
}

// ipv4Header parses the header at an offset and returns its end. Returns false if the
// header does not end before limit.
func (x *examination) ipv4Header(p *ip, at, limit int) (end int, ok bool) {
	if limit-at < 20 || x.frame[at]>>4 != 4 {
		return 0, false
	}
	size := int(x.frame[at]&0xf) * 4
	if size < 20 || limit-at < size {
		return 0, false
	}
	p.source = netip.AddrFrom4([4]byte(x.frame[at+12:]))
	p.destination = netip.AddrFrom4([4]byte(x.frame[at+16:]))
	p.protocol = x.frame[at+9]
	return at + size, true
}

func (x *examination) parseIPv4(at int) kind {
	var ok bool
	if x.load, ok = x.ipv4Header(&x.ip, at, len(x.frame)); !ok {
		return malformed
	}
	x.end = at + int(x.u16(at+2))
	if x.noLength = x.end == at; x.noLength {
		x.end = len(x.frame)
	}
	if x.end < x.load || x.end > len(x.frame) {
		return malformed
	}
	if x.u16(at+6)&0x1fff != 0 {
		return other
	}
	x.fragment = x.u16(at+6)&0x2000 != 0
	return x.parseLoad()
}

// ipv6Header parses the header at an offset. Returns false if it does not end before
// limit.
func (x *examination) ipv6Header(p *ip, at, limit int) (ok bool) {
	if limit-at < 40 || x.frame[at]>>4 != 6 {
		return false
	}
	p.ipv6 = true
	p.source = netip.AddrFrom16([16]byte(x.frame[at+8:]))
	p.destination = netip.AddrFrom16([16]byte(x.frame[at+24:]))
	return true
}

func (x *examination) parseIPv6(at int) kind {
	if !x.ipv6Header(&x.ip, at, len(x.frame)) {
		return malformed
	}
	x.end = at + 40 + int(x.u16(at+4))
	if x.noLength = x.u16(at+4) == 0; x.noLength {
		x.end = len(x.frame)
	}
	if x.end > len(x.frame) {
		return malformed
	}
	if kind := x.extensions(&x.ip, at); kind != transport {
		return kind
	}
	return x.parseLoad()
}

// extensions walks from the IPv6 header at an offset to the transport header. It
// returns transport if it gets there.
func (x *examination) extensions(p *ip, at int) kind {
	next := x.frame[at+6]
	at += 40
	for n := 0; isExtension(next); n++ {
		if n == maxExtensions {
			return other
		}
		if p.end-at < 8 {
			return malformed
		}
		size := (int(x.frame[at+1]) + 1) * 8
		switch next {
		case 44: // RFC 8200 section 4.5
			size = 8
			if x.u16(at+2)&0xfff8 != 0 {
				return other
			}
			p.fragment = p.fragment || x.u16(at+2)&1 != 0
		case 43: // RFC 8200 section 4.4
			p.routed = p.routed || x.frame[at+3] != 0
		}
		if p.end-at < size {
			return malformed
		}
		next = x.frame[at]
		at += size
	}
	p.protocol, p.load = next, at
	return transport
}

func isExtension(protocol uint8) bool {
	switch protocol {
	case 0, 43, 44, 60: // not AH (51), which authenticates the ports
		return true
	}
	return false
}

func (x *examination) parseLoad() kind {
	size := x.end - x.load
	switch {
	case x.protocol == uint8(rules.UDP):
		return x.parseUDP(size)
	case x.protocol == uint8(rules.TCP):
		return x.parseTCP(size)
	case x.protocol == 1 && !x.ipv6, x.protocol == 58 && x.ipv6:
		return x.parseICMP(size)
	}
	return other
}

func (x *examination) parseUDP(size int) kind {
	if size < 4 {
		return malformed
	}
	if x.damaged = size < 8; x.damaged {
		return transport
	}
	length := int(x.u16(x.load + 4))
	if length == 0 && x.ipv6 {
		length = size // RFC 2675 section 4; Linux accepts it in any packet
	}
	x.damaged = !x.fragment && !x.noLength && (length < 8 || length > size)
	if x.u16(x.load+6) != 0 {
		x.checksum = x.load + 6
	}
	return transport
}

func (x *examination) parseTCP(size int) kind {
	if size < 4 {
		return malformed
	}
	if x.damaged = size < 20; x.damaged {
		return transport
	}
	header := int(x.frame[x.load+12]>>4) * 4
	x.damaged = !x.fragment && (header < 20 || header > size)
	x.checksum = x.load + 16
	return transport
}

func (x *examination) parseICMP(size int) kind {
	if size < 8 {
		return malformed
	}
	x.checksum = x.load + 2
	switch kind := x.frame[x.load]; {
	case x.ipv6 && (kind >= 1 && kind <= 4 || kind == redirect):
		return icmpError
	case !x.ipv6 && (kind >= 3 && kind <= 5 || kind == 11 || kind == 12):
		return icmpError
	}
	return other
}
