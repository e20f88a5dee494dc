package bpf

import "encoding/binary"

// Words returns an address or a mask, which is in network byte order, as the
// programs load it.
func Words(addr [16]byte) [2]uint64 {
	return [2]uint64{
		binary.NativeEndian.Uint64(addr[:8]),
		binary.NativeEndian.Uint64(addr[8:]),
	}
}

// AddressBytes undoes Words.
func AddressBytes(address ProgramsAddress) (out [16]byte) {
	binary.NativeEndian.PutUint64(out[:8], address.Word[0])
	binary.NativeEndian.PutUint64(out[8:], address.Word[1])
	return out
}
