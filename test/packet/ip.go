package packet

import "encoding/binary"

// IP protocol numbers and IPv6 extension headers (IANA "Assigned Internet
// Protocol Numbers").
const (
	ProtocolHopByHop           = 0
	ProtocolICMP               = 1
	ProtocolTCP                = 6
	ProtocolUDP                = 17
	ProtocolRouting            = 43
	ProtocolFragment           = 44
	ProtocolAuthentication     = 51
	ProtocolICMPv6             = 58
	ProtocolNoNext             = 59
	ProtocolDestinationOptions = 60
)

const (
	ipv4HeaderSize = 20
	ipv6HeaderSize = 40
	hopLimit       = 64
	identification = 0x1234
)

// Extension is an IPv6 extension header: ProtocolHopByHop, ProtocolRouting,
// ProtocolDestinationOptions, ProtocolAuthentication or ProtocolFragment.
type Extension struct {
	Protocol uint8
	// Data follows the next-header and length bytes, or the next-header and reserved
	// bytes of a fragment header. It is padded with zeros.
	Data []byte
}

// bytes returns the header, padded to a multiple of 8 bytes (RFC 8200 section 4; RFC
// 4302 section 3.3.3.2.1). The length field of AH counts 4-byte words minus 2 (RFC 4302
// section 2.2), that of other headers 8-byte units minus 1.
func (e Extension) bytes(next uint8) []byte {
	header := append([]byte{next, 0}, e.Data...)
	least := 8
	if e.Protocol == ProtocolAuthentication {
		least = 16
	}
	for len(header) < least || len(header)%8 != 0 {
		header = append(header, 0)
	}
	switch e.Protocol {
	case ProtocolFragment:
	case ProtocolAuthentication:
		header[1] = uint8(len(header)/4 - 2)
	default:
		header[1] = uint8(len(header)/8 - 1)
	}
	return header
}

// ipv4Header returns the header of RFC 791 section 3.1.
func (p Packet) ipv4Header(load int) []byte {
	size := ipv4HeaderSize + (len(p.Options)+3)/4*4
	header := make([]byte, size)
	header[0] = 4<<4 | uint8(size/4)
	if !p.NoLength {
		binary.BigEndian.PutUint16(header[2:], uint16(size+load))
	}
	binary.BigEndian.PutUint16(header[4:], identification)
	if f := p.Fragment; f != nil {
		binary.BigEndian.PutUint16(header[6:], uint16(f.Offset/8)|flag(f.More, 0x2000))
	}
	header[8] = hopLimit
	header[9] = p.Load.protocol(false)
	copy(header[12:], p.Source.AsSlice())
	copy(header[16:], p.Destination.AsSlice())
	copy(header[ipv4HeaderSize:], p.Options)
	binary.BigEndian.PutUint16(header[10:], ^sum(header))
	return header
}

// ipv6Header returns the header of RFC 8200 section 3 and the extension headers.
func (p Packet) ipv6Header(load int) []byte {
	extensions := p.Extensions
	if f := p.Fragment; f != nil {
		extensions = append(extensions[:len(extensions):len(extensions)], f.extension())
	}
	header := make([]byte, ipv6HeaderSize)
	header[0] = 6 << 4
	header[7] = hopLimit
	copy(header[8:], p.Source.AsSlice())
	copy(header[24:], p.Destination.AsSlice())
	next := 6 // offset of the next-header field
	for _, extension := range extensions {
		header[next] = extension.Protocol
		next = len(header)
		header = append(header, extension.bytes(0)...)
	}
	header[next] = p.Load.protocol(true)
	if !p.NoLength {
		binary.BigEndian.PutUint16(header[4:], uint16(len(header)-ipv6HeaderSize+load))
	}
	return header
}

func (f *Fragment) extension() Extension {
	data := binary.BigEndian.AppendUint16(nil, uint16(f.Offset)|flag(f.More, 1))
	return Extension{ProtocolFragment, binary.BigEndian.AppendUint32(data, identification)}
}

func flag(set bool, bit uint16) uint16 {
	if set {
		return bit
	}
	return 0
}
