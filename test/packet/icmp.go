package packet

import "encoding/binary"

const icmpHeaderSize = 8

// Types of ICMP errors (RFC 792), ICMPv6 errors (RFC 4443) and the ICMPv6 redirect (RFC
// 4861), which also quotes a packet.
const (
	ICMPUnreachable      = 3
	ICMPSourceQuench     = 4
	ICMPRedirect         = 5
	ICMPTimeExceeded     = 11
	ICMPParameterProblem = 12

	ICMPv6Unreachable      = 1
	ICMPv6PacketTooBig     = 2
	ICMPv6TimeExceeded     = 3
	ICMPv6ParameterProblem = 4
	ICMPv6Redirect         = 137
)

// Options of an ICMPv6 redirect (RFC 4861 section 4.6).
const (
	optionLinkLayer  = 2
	optionRedirected = 4
)

// Types of echo requests.
const (
	icmpEcho   = 8
	icmpv6Echo = 128
)

// Error is an ICMP or ICMPv6 error, depending on the family of the packet.
type Error struct {
	Type, Code uint8
	// Rest is the second half of the header: an MTU, a pointer, a gateway.
	Rest uint32
	// Quoted is the packet that caused the error, from its IP header on, or the
	// beginning of it.
	Quoted []byte
}

func (Error) protocol(ipv6 bool) uint8 { return icmpProtocol(ipv6) }

func (e Error) bytes(ends addresses) []byte {
	return icmp(ends, e.Type, e.Code, e.Rest, e.Quoted)
}

// Redirected returns the body of an ICMPv6 redirect: the target, the destination,
// linkLayer options with a link-layer address, and an option with the quoted packet.
// The latter is padded to a multiple of 8 bytes (RFC 4861 sections 4.5 and 4.6.3).
func Redirected(quoted []byte, linkLayer int) []byte {
	body := make([]byte, 32)
	for range linkLayer {
		body = append(body, optionLinkLayer, 1, 2, 0, 0, 0, 0, 1)
	}
	body = append(body, optionRedirected, uint8(1+(len(quoted)+7)/8), 0, 0, 0, 0, 0, 0)
	body = append(body, quoted...)
	return append(body, make([]byte, -len(quoted)&7)...)
}

// Echo is an echo request, an ICMP message that is not an error.
type Echo struct {
	Payload []byte
}

func (Echo) protocol(ipv6 bool) uint8 { return icmpProtocol(ipv6) }

func (e Echo) bytes(ends addresses) []byte {
	if ends.source.Is6() {
		return icmp(ends, icmpv6Echo, 0, 1<<16|1, e.Payload)
	}
	return icmp(ends, icmpEcho, 0, 1<<16|1, e.Payload)
}

func icmpProtocol(ipv6 bool) uint8 {
	if ipv6 {
		return ProtocolICMPv6
	}
	return ProtocolICMP
}

// icmp returns an ICMP message (RFC 792) or an ICMPv6 message (RFC 4443 section 2.3). Only
// the checksum of the latter includes a pseudo-header.
func icmp(ends addresses, kind, code uint8, rest uint32, body []byte) []byte {
	message := []byte{kind, code, 0, 0}
	message = binary.BigEndian.AppendUint32(message, rest)
	message = append(message, body...)
	checksum := ^sum(message)
	if ends.source.Is6() {
		checksum = ^ends.sum(ProtocolICMPv6, message)
	}
	binary.BigEndian.PutUint16(message[2:], checksum)
	return message
}
