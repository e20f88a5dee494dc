package trace

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// readHeaders reads protocol, addresses and ports from the beginning of a
// frame, as far as it goes. It looks through the same layers as the programs
// (bpf/parse.h), but is no judge of what is malformed.
func readHeaders(frame []byte) (protocol uint8, ends Endpoints) {
	kind, packet := skipLinkLayer(frame)
	switch {
	case kind == unix.ETH_P_IP && len(packet) >= 20:
		return readIPv4(packet)
	case kind == unix.ETH_P_IPV6 && len(packet) >= 40:
		return readIPv6(packet)
	}
	return 0, ends
}

// skipLinkLayer returns what is behind Ethernet and up to two VLAN tags.
func skipLinkLayer(frame []byte) (kind uint16, packet []byte) {
	const addresses = 12
	if len(frame) < addresses+2 {
		return 0, nil
	}
	rest := frame[addresses:]
	for range 2 {
		kind = binary.BigEndian.Uint16(rest)
		if kind != unix.ETH_P_8021Q && kind != unix.ETH_P_8021AD || len(rest) < 6 {
			break
		}
		rest = rest[4:]
	}
	return binary.BigEndian.Uint16(rest), rest[2:]
}

func readIPv4(packet []byte) (protocol uint8, ends Endpoints) {
	protocol = packet[9]
	headerLength := int(packet[0]&0xf) * 4
	isFirst := binary.BigEndian.Uint16(packet[6:])&0x1fff == 0
	var load []byte
	if isFirst && headerLength <= len(packet) {
		load = packet[headerLength:]
	}
	return protocol, endpoints(packet[12:16], packet[16:20], protocol, load)
}

func readIPv6(packet []byte) (protocol uint8, ends Endpoints) {
	protocol, load := skipExtensions(packet[6], packet[40:])
	return protocol, endpoints(packet[8:24], packet[24:40], protocol, load)
}

// skipExtensions walks to the transport header (RFC 8200 section 4; the length
// of AH is in other units, RFC 4302 section 2.2). It returns no load for later
// fragments.
func skipExtensions(protocol uint8, load []byte) (transport uint8, rest []byte) {
	for range 8 {
		if len(load) < 8 {
			return protocol, load
		}
		length := (int(load[1]) + 1) * 8
		switch protocol {
		case unix.IPPROTO_FRAGMENT:
			length = 8
			if binary.BigEndian.Uint16(load[2:])&0xfff8 != 0 {
				return load[0], nil
			}
		case unix.IPPROTO_AH:
			length = (int(load[1]) + 2) * 4
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
		default:
			return protocol, load
		}
		protocol, load = load[0], load[min(length, len(load)):]
	}
	return protocol, load
}

func endpoints(source, destination []byte, protocol uint8, load []byte) Endpoints {
	var sourcePort, destinationPort uint16
	if hasPorts(protocol) && len(load) >= 4 {
		sourcePort = binary.BigEndian.Uint16(load)
		destinationPort = binary.BigEndian.Uint16(load[2:])
	}
	from, _ := netip.AddrFromSlice(source)
	to, _ := netip.AddrFromSlice(destination)
	return Endpoints{netip.AddrPortFrom(from, sourcePort), netip.AddrPortFrom(to, destinationPort)}
}

// Endpoints are where a packet comes from and goes to. Ports are 0 where there
// are none: in later fragments, and in protocols other than TCP and UDP.
type Endpoints struct {
	Source, Destination netip.AddrPort
}

// hasPorts reports whether a protocol is one that rules are about.
func hasPorts(protocol uint8) bool {
	return protocol == unix.IPPROTO_TCP || protocol == unix.IPPROTO_UDP
}
