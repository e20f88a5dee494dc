package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

var (
	ipv4A, ipv4B = netip.MustParseAddr("10.88.0.2"), netip.MustParseAddr("192.0.2.1")
	ipv6A, ipv6B = netip.MustParseAddr("fd00::2"), netip.MustParseAddr("2001:db8::1")
)

// loads returns one load of each kind, with odd and even payloads.
func loads() map[string]Load {
	quoted := Packet{Source: ipv4B, Destination: ipv4A, Load: UDP{Source: 53, Destination: 1024, Payload: []byte("quoted")}}
	return map[string]Load{
		"tcp":           TCP{Source: 1024, Destination: 80, Flags: 2, Options: []byte{2, 4, 5, 180, 1}, Payload: []byte("hello")},
		"tcp, empty":    TCP{Source: 1024, Destination: 80},
		"udp":           UDP{Source: 1024, Destination: 53, Payload: []byte("odd")},
		"udp, empty":    UDP{Source: 1024, Destination: 53},
		"no checksum":   UDP{Source: 1024, Destination: 53, NoChecksum: true, Payload: []byte("even")},
		"echo":          Echo{Payload: []byte("ping!")},
		"error":         Error{Type: ICMPUnreachable, Code: 3, Quoted: quoted.IP()},
		"another error": Error{Type: ICMPv6Unreachable, Code: 4, Quoted: quoted.IP()[:28]},
		"raw":           Raw{Protocol: 47, Payload: []byte("gre")},
	}
}

// shapes returns the ways to wrap a load.
func shapes() map[string]Packet {
	tag := Tag{EtherTypeVLAN, 7}
	return map[string]Packet{
		"ipv4":              {Source: ipv4A, Destination: ipv4B},
		"ipv4, one tag":     {Source: ipv4A, Destination: ipv4B, Tags: []Tag{tag}},
		"ipv4, three tags":  {Source: ipv4A, Destination: ipv4B, Tags: []Tag{{EtherTypeProvider, 9}, tag, tag}},
		"ipv4, options":     {Source: ipv4A, Destination: ipv4B, Options: []byte{7, 7, 4, 0, 0, 0, 0}},
		"ipv4, all options": {Source: ipv4A, Destination: ipv4B, Options: make([]byte, 40)},
		"ipv4, no length":   {Source: ipv4A, Destination: ipv4B, NoLength: true},
		"ipv4, padding":     {Source: ipv4A, Destination: ipv4B, Padding: 11},
		"ipv6":              {Source: ipv6A, Destination: ipv6B},
		"ipv6, two tags":    {Source: ipv6A, Destination: ipv6B, Tags: []Tag{{EtherTypeProvider, 9}, tag}},
		"ipv6, no length":   {Source: ipv6A, Destination: ipv6B, NoLength: true},
		"ipv6, extensions": {Source: ipv6A, Destination: ipv6B, Padding: 3, Extensions: []Extension{
			{Protocol: ProtocolHopByHop, Data: make([]byte, 7)},
			{Protocol: ProtocolRouting},
			{Protocol: ProtocolAuthentication, Data: []byte{0, 0, 1, 2, 3, 4}},
			{Protocol: ProtocolDestinationOptions, Data: make([]byte, 20)},
		}},
		"ipv6, atomic fragment": {Source: ipv6A, Destination: ipv6B, Fragment: &Fragment{}},
	}
}

func forEach(t *testing.T, test func(t *testing.T, p Packet)) {
	for shape, p := range shapes() {
		for name, load := range loads() {
			p.Load = load
			t.Run(fmt.Sprintf("%s, %s", shape, name), func(t *testing.T) { test(t, p) })
		}
	}
}

func TestBytesVerify(t *testing.T) {
	forEach(t, func(t *testing.T, p Packet) {
		if err := Verify(p.Bytes()); err != nil {
			t.Errorf("%v: % x", err, p.Bytes())
		}
	})
}

func TestTransportOffset(t *testing.T) {
	forEach(t, func(t *testing.T, p Packet) {
		load := p.Load.bytes(addresses{p.Source, p.Destination})
		frame := p.Bytes()
		frame = frame[:len(frame)-p.Padding]
		if got := frame[p.TransportOffset():]; !bytes.Equal(got, load) {
			t.Errorf("the load is at %d, and % x and not % x is there", p.TransportOffset(), got, load)
		}
	})
}

// Verify must detect every flipped bit that a checksum covers. It cannot in UDP without
// a checksum, in Raw, and in the fields that Verify itself relies on.
func TestVerifyFindsFlippedBits(t *testing.T) {
	for _, p := range []Packet{
		{Source: ipv4A, Destination: ipv4B, Load: loads()["tcp"]},
		{Source: ipv4A, Destination: ipv4B, Load: loads()["udp"]},
		{Source: ipv6A, Destination: ipv6B, Load: loads()["tcp"]},
		{Source: ipv6A, Destination: ipv6B, Load: loads()["echo"]},
		{Source: ipv4A, Destination: ipv4B, Load: loads()["error"]},
	} {
		frame := p.Bytes()
		for bit := p.TransportOffset() * 8; bit < len(frame)*8; bit++ {
			if Verify(Flip(frame, bit)) == nil {
				t.Errorf("%T: bit %d is wrong, but Verify accepts it", p.Load, bit)
			}
		}
	}
}

func TestVerifyQuoted(t *testing.T) {
	quoted := Packet{Source: ipv6A, Destination: ipv6B, Load: UDP{Source: 1, Destination: 2, Payload: []byte("abc")}}
	wrong := quoted.IP()
	wrong[len(wrong)-1]++
	p := Packet{Source: ipv6B, Destination: ipv6A, Load: Error{Type: ICMPv6PacketTooBig, Rest: 1280, Quoted: wrong}}
	if Verify(p.Bytes()) == nil {
		t.Error("the checksum of a quoted packet is wrong, but Verify accepts it")
	}
	p.Load = Error{Type: ICMPv6PacketTooBig, Rest: 1280, Quoted: wrong[:len(wrong)-1]}
	if err := Verify(p.Bytes()); err != nil {
		t.Errorf("half a quoted packet: %v", err)
	}
}

func TestVerifyTruncated(t *testing.T) {
	forEach(t, func(t *testing.T, p Packet) {
		frame := p.Bytes()
		for n := range len(frame) - p.Padding {
			err := Verify(Truncate(frame, n))
			if n < p.NetworkOffset() && !errors.Is(err, ErrShort) {
				t.Errorf("%d of %d bytes: %v", n, len(frame), err)
			}
			if !p.NoLength && err == nil && n > p.NetworkOffset() {
				t.Errorf("Verify accepts %d of %d bytes", n, len(frame))
			}
		}
	})
}

func TestSum(t *testing.T) {
	// The example of RFC 1071 section 3.
	if got := sum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != 0xddf2 {
		t.Errorf("the sum is %#04x, want 0xddf2", got)
	}
	if got := sum([]byte{1}, []byte{2}); got != 0x0300 {
		t.Errorf("the sum is %#04x, want 0x0300", got)
	}
}

func TestUDPChecksumIsNeverZero(t *testing.T) {
	p := Packet{Source: ipv4A, Destination: ipv4B, Load: UDP{Source: 1, Destination: 2, Payload: []byte{0, 0}}}
	checksum := func() uint16 { return binary.BigEndian.Uint16(p.Bytes()[p.TransportOffset()+6:]) }
	p = p.withFirstWord(checksum())
	if checksum() != 0xffff {
		t.Errorf("the checksum is %#04x, want 0xffff", checksum())
	}
}

func TestFragments(t *testing.T) {
	for _, p := range []Packet{
		{Source: ipv4A, Destination: ipv4B, Options: make([]byte, 8)},
		{Source: ipv6A, Destination: ipv6B, Extensions: []Extension{{Protocol: ProtocolRouting}}},
	} {
		p.Load = UDP{Source: 1, Destination: 2, Payload: []byte("a datagram in three parts")}
		whole := p.Bytes()[p.TransportOffset():]
		var joined []byte
		for offset := 0; offset < len(whole); offset += 16 {
			p.Fragment = &Fragment{Offset: offset, Length: 16, More: offset+16 < len(whole)}
			frame := p.Bytes()
			if err := Verify(frame); err != nil {
				t.Error(err)
			}
			joined = append(joined, frame[p.TransportOffset():]...)
		}
		if !bytes.Equal(joined, whole) {
			t.Errorf("the fragments are % x, want % x", joined, whole)
		}
	}
}

func TestAmbiguous(t *testing.T) {
	for host := range 500 {
		for _, p := range []Packet{
			{Source: ipv4A.Next(), Destination: netip.AddrFrom4([4]byte{10, 1, byte(host >> 8), byte(host)})},
			{Source: ipv6A, Destination: netip.AddrFrom16([16]byte{0xfd, 14: byte(host >> 8), 15: byte(host)})},
		} {
			for _, load := range []Load{
				TCP{Source: 1, Destination: 2, Payload: []byte("payload")},
				TCP{Source: 1, Destination: 2},
				UDP{Source: 1, Destination: 2, Payload: []byte("x")},
			} {
				p.Load = load
				testAmbiguous(t, p.Ambiguous())
			}
		}
	}
}

func testAmbiguous(t *testing.T, p Packet) {
	t.Helper()
	frame := p.Bytes()
	if err := Verify(frame); err != nil {
		t.Fatal(err)
	}
	load, at := frame[p.TransportOffset():], 6
	if _, isTCP := p.Load.(TCP); isTCP {
		at = 16
	}
	pseudo := addresses{p.Source, p.Destination}.pseudoHeader(p.Load.protocol(p.ipv6()), len(load))
	if got, want := binary.BigEndian.Uint16(load[at:]), sum(pseudo); got != want {
		t.Fatalf("%T: the checksum is %#04x, want %#04x as the pseudo-header", p.Load, got, want)
	}
}

func TestReply(t *testing.T) {
	p := Packet{Source: ipv4A, Destination: ipv4B, Load: TCP{Source: 1, Destination: 2}}
	reply := p.Reply()
	source, destination := reply.Ports()
	if reply.Source != ipv4B || reply.Destination != ipv4A || source != 2 || destination != 1 {
		t.Errorf("the reply is %+v", reply)
	}
	if source, destination := p.Ports(); source != 1 || destination != 2 {
		t.Errorf("the packet replied to has become %+v", p)
	}
}

func TestMutatorsCopy(t *testing.T) {
	frame := Packet{Source: ipv4A, Destination: ipv4B, Load: Echo{}}.Bytes()
	before := bytes.Clone(frame)
	for name, mutated := range map[string][]byte{
		"Truncate": Truncate(frame, 20)[:1],
		"Flip":     Flip(frame, 0),
		"Set8":     Set8(frame, 0, 0xff),
		"Set16":    Set16(frame, 0, 0xffff),
	} {
		mutated[0] = 0x55
		if !bytes.Equal(frame, before) {
			t.Fatalf("%s changes the frame it was given", name)
		}
	}
}
