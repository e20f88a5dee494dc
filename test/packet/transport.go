package packet

import "encoding/binary"

const (
	tcpHeaderSize = 20
	udpHeaderSize = 8
)

// TCP is a segment (RFC 9293 section 3.1).
type TCP struct {
	Source, Destination    uint16
	Flags                  uint8
	Sequence, Acknowledged uint32
	// Options are padded to a multiple of 4 bytes, at most 40.
	Options []byte
	Payload []byte
}

func (TCP) protocol(bool) uint8 { return ProtocolTCP }

func (t TCP) bytes(ends addresses) []byte {
	size := tcpHeaderSize + (len(t.Options)+3)/4*4
	segment := make([]byte, size, size+len(t.Payload))
	binary.BigEndian.PutUint16(segment, t.Source)
	binary.BigEndian.PutUint16(segment[2:], t.Destination)
	binary.BigEndian.PutUint32(segment[4:], t.Sequence)
	binary.BigEndian.PutUint32(segment[8:], t.Acknowledged)
	segment[12] = uint8(size/4) << 4
	segment[13] = t.Flags
	binary.BigEndian.PutUint16(segment[14:], 0xffff) // window
	copy(segment[tcpHeaderSize:], t.Options)
	segment = append(segment, t.Payload...)
	binary.BigEndian.PutUint16(segment[16:], ^ends.sum(ProtocolTCP, segment))
	return segment
}

// UDP is a datagram (RFC 768).
type UDP struct {
	Source, Destination uint16
	// NoChecksum leaves the checksum 0, which means "none" (RFC 768; for IPv6 RFC
	// 6935).
	NoChecksum bool
	// NoLength sets the length field to 0, as in jumbograms (RFC 2675 section 4).
	NoLength bool
	Payload  []byte
}

func (UDP) protocol(bool) uint8 { return ProtocolUDP }

func (u UDP) bytes(ends addresses) []byte {
	datagram := make([]byte, udpHeaderSize, udpHeaderSize+len(u.Payload))
	binary.BigEndian.PutUint16(datagram, u.Source)
	binary.BigEndian.PutUint16(datagram[2:], u.Destination)
	if !u.NoLength {
		binary.BigEndian.PutUint16(datagram[4:], uint16(udpHeaderSize+len(u.Payload)))
	}
	datagram = append(datagram, u.Payload...)
	if u.NoChecksum {
		return datagram
	}
	checksum := ^ends.sum(ProtocolUDP, datagram)
	if checksum == 0 {
		checksum = 0xffff // 0 would mean "no checksum"
	}
	binary.BigEndian.PutUint16(datagram[6:], checksum)
	return datagram
}

// Raw is the payload of any other protocol, without a checksum.
type Raw struct {
	Protocol uint8
	Payload  []byte
}

func (r Raw) protocol(bool) uint8    { return r.Protocol }
func (r Raw) bytes(addresses) []byte { return r.Payload }

// Ports returns the ports of TCP and UDP, and 0 for other protocols.
func (p Packet) Ports() (source, destination uint16) {
	switch load := p.Load.(type) {
	case TCP:
		return load.Source, load.Destination
	case UDP:
		return load.Source, load.Destination
	}
	return 0, 0
}

// WithPorts returns the packet with other ports, if it is TCP or UDP.
func (p Packet) WithPorts(source, destination uint16) Packet {
	switch load := p.Load.(type) {
	case TCP:
		load.Source, load.Destination = source, destination
		p.Load = load
	case UDP:
		load.Source, load.Destination = source, destination
		p.Load = load
	}
	return p
}

// Reply returns the packet with addresses and ports swapped.
func (p Packet) Reply() Packet {
	source, destination := p.Ports()
	p.Source, p.Destination = p.Destination, p.Source
	return p.WithPorts(destination, source)
}
