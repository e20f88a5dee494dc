package packet

import (
	"encoding/binary"
	"slices"
)

// Truncate returns the first n bytes of the frame.
func Truncate(frame []byte, n int) []byte {
	return slices.Clone(frame[:min(n, len(frame))])
}

// Flip returns the frame with one bit inverted. Bit 0 is sent first.
func Flip(frame []byte, bit int) []byte {
	frame = slices.Clone(frame)
	frame[bit/8] ^= 0x80 >> (bit % 8)
	return frame
}

// Set8 returns the frame with the byte at offset replaced.
func Set8(frame []byte, offset int, value uint8) []byte {
	frame = slices.Clone(frame)
	frame[offset] = value
	return frame
}

// Set16 returns the frame with two bytes at offset replaced. It writes value in network
// byte order.
func Set16(frame []byte, offset int, value uint16) []byte {
	frame = slices.Clone(frame)
	binary.BigEndian.PutUint16(frame[offset:], value)
	return frame
}
