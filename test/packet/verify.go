package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrShort is returned by Verify for frames that are truncated or have impossible
// lengths.
var ErrShort = errors.New("bytes are missing")

// Verify computes every checksum of the frame and returns an error that names the first
// wrong one. It checks the IPv4 header, TCP, UDP, ICMP and ICMPv6, and the packet in an
// ICMP error if the error quotes all of it.
//
// Verify accepts everything without a checksum of its own: later parts of fragments,
// other protocols, UDP without a checksum.
//
// Returns an error wrapping ErrShort if the frame is too short.
func Verify(frame []byte) error {
	if len(frame) < ethernetHeaderSize {
		return fmt.Errorf("read the Ethernet header: %w", ErrShort)
	}
	etherType, rest := binary.BigEndian.Uint16(frame[12:]), frame[ethernetHeaderSize:]
	for etherType == EtherTypeVLAN || etherType == EtherTypeProvider {
		if len(rest) < tagSize {
			return fmt.Errorf("read a VLAN tag: %w", ErrShort)
		}
		etherType, rest = binary.BigEndian.Uint16(rest[2:]), rest[tagSize:]
	}
	switch etherType {
	case EtherTypeIPv4:
		return verifyIPv4(rest)
	case EtherTypeIPv6:
		return verifyIPv6(rest)
	}
	return nil
}

func verifyIPv4(ip []byte) error {
	if len(ip) < ipv4HeaderSize {
		return fmt.Errorf("IPv4 header: %w", ErrShort)
	}
	header, length := int(ip[0]&0xf)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if length == 0 {
		length = len(ip)
	}
	if header < ipv4HeaderSize || length < header || length > len(ip) {
		return fmt.Errorf("IPv4 header: %w", ErrShort)
	}
	if sum(ip[:header]) != 0xffff {
		return errors.New("IPv4 header: wrong checksum")
	}
	if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return nil // a fragment
	}
	ends := addresses{netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))}
	return verifyLoad(ends, ip[9], ip[header:length])
}

func verifyIPv6(ip []byte) error {
	if len(ip) < ipv6HeaderSize {
		return fmt.Errorf("IPv6 header: %w", ErrShort)
	}
	load := ip[ipv6HeaderSize:]
	if length := int(binary.BigEndian.Uint16(ip[4:])); length > len(load) {
		return fmt.Errorf("IPv6 payload: %w", ErrShort)
	} else if length > 0 {
		load = load[:length]
	}
	ends := addresses{netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))}
	next := ip[6]
	for {
		size, extension := extensionSize(next, load)
		if !extension {
			return verifyLoad(ends, next, load)
		}
		if size == 0 || size > len(load) {
			return fmt.Errorf("IPv6 extension header %d: %w", next, ErrShort)
		}
		if next == ProtocolFragment && binary.BigEndian.Uint16(load[2:])&0xfff9 != 0 {
			return nil
		}
		next, load = load[0], load[size:]
	}
}

// extensionSize returns 0 if the frame ends before the size field.
func extensionSize(protocol uint8, header []byte) (size int, extension bool) {
	switch protocol {
	case ProtocolHopByHop, ProtocolRouting, ProtocolDestinationOptions:
		size = 8
	case ProtocolAuthentication, ProtocolFragment:
	default:
		return 0, false
	}
	switch {
	case len(header) < 8:
		return 0, true
	case protocol == ProtocolFragment:
		return 8, true
	case protocol == ProtocolAuthentication:
		return (int(header[1]) + 2) * 4, true
	}
	return size + int(header[1])*8, true
}

func verifyLoad(ends addresses, protocol uint8, load []byte) error {
	switch protocol {
	case ProtocolTCP:
		return verifySum("TCP", tcpHeaderSize, load, ends.sum(ProtocolTCP, load))
	case ProtocolUDP:
		return verifyUDP(ends, load)
	case ProtocolICMP:
		if ends.source.Is4() {
			return verifyICMP("ICMP", ends, load, sum(load))
		}
	case ProtocolICMPv6:
		if ends.source.Is6() {
			return verifyICMP("ICMPv6", ends, load, ends.sum(ProtocolICMPv6, load))
		}
	}
	return nil
}

func verifySum(what string, header int, load []byte, sum uint16) error {
	if len(load) < header {
		return fmt.Errorf("%s header: %w", what, ErrShort)
	}
	if sum != 0xffff {
		return fmt.Errorf("%s: wrong checksum", what)
	}
	return nil
}

func verifyUDP(ends addresses, load []byte) error {
	if len(load) < udpHeaderSize {
		return fmt.Errorf("UDP header: %w", ErrShort)
	}
	if binary.BigEndian.Uint16(load[6:]) == 0 {
		return nil
	}
	length := int(binary.BigEndian.Uint16(load[4:]))
	if length > len(load) {
		return fmt.Errorf("UDP datagram: %w", ErrShort)
	} else if length > 0 {
		load = load[:length]
	}
	return verifySum("UDP", udpHeaderSize, load, ends.sum(ProtocolUDP, load))
}

func verifyICMP(what string, ends addresses, load []byte, sum uint16) error {
	if err := verifySum(what, icmpHeaderSize, load, sum); err != nil {
		return err
	}
	if !isError(ends.source.Is6(), load[0]) {
		return nil
	}
	if err := verifyQuoted(ends.source.Is6(), load[icmpHeaderSize:]); err != nil && !errors.Is(err, ErrShort) {
		return fmt.Errorf("quoted in %s: %w", what, err)
	}
	return nil
}

// verifyQuoted verifies a quoted packet if its header has a length. Without a length
// the packet may be incomplete.
func verifyQuoted(ipv6 bool, ip []byte) error {
	if len(ip) < ipv4HeaderSize {
		return ErrShort
	}
	if ipv6 && binary.BigEndian.Uint16(ip[4:]) != 0 {
		return verifyIPv6(ip)
	}
	if !ipv6 && binary.BigEndian.Uint16(ip[2:]) != 0 {
		return verifyIPv4(ip)
	}
	return nil
}

func isError(ipv6 bool, kind uint8) bool {
	if ipv6 {
		return kind >= ICMPv6Unreachable && kind <= ICMPv6ParameterProblem
	}
	switch kind {
	case ICMPUnreachable, ICMPSourceQuench, ICMPRedirect, ICMPTimeExceeded, ICMPParameterProblem:
		return true
	}
	return false
}
