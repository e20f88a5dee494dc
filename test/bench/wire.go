package main

import "encoding/binary"

// Offsets in an Ethernet frame with UDP, behind an IPv4 header without options or an IPv6 header
// without extensions.
const (
	etherType   = 12
	ipProtocol  = 23
	destination = 36
	headers     = 42

	nextHeader      = 20
	destinationIPv6 = 56
	headersIPv6     = 62
)

// onTheWire returns the number that a program loads from two bytes in network
// byte order.
func onTheWire(value uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, value)))
}
