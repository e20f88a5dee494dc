package bpf

import (
	"encoding/binary"
	"unsafe"
)

// Ports are those of a packet.
type Ports struct{ Source, Destination uint16 }

// PortsOf decodes both ports of a packet, which the programs keep in one word.
func PortsOf(word uint32) Ports {
	bytes := *(*[4]byte)(unsafe.Pointer(&word))
	return Ports{
		Source:      binary.BigEndian.Uint16(bytes[:2]),
		Destination: binary.BigEndian.Uint16(bytes[2:]),
	}
}
