package main

import "encoding/binary"

// onTheWire returns the number that a program loads from two bytes in network
// byte order.
func onTheWire(value uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, value)))
}
