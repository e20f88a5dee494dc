package trace

import (
	"net/netip"
	"testing"

	"github.com/xdp-port/xdp-port/test/packet"
)

func TestReadHeaders(t *testing.T) {
	v4 := packet.Packet{Source: netip.MustParseAddr("10.0.0.1"), Destination: netip.MustParseAddr("10.0.0.2")}
	v6 := packet.Packet{Source: netip.MustParseAddr("fd00::1"), Destination: netip.MustParseAddr("fd00::2")}
	udp := packet.UDP{Source: 4000, Destination: 53, Payload: []byte("question")}
	tcp := packet.TCP{Source: 4000, Destination: 53}
	later := &packet.Fragment{Offset: 8}
	for _, test := range []struct {
		name     string
		shape    func(*packet.Packet)
		load     packet.Load
		protocol uint8
		noPorts  bool
	}{
		{name: "plain", load: udp, protocol: packet.ProtocolUDP},
		{name: "TCP", load: tcp, protocol: packet.ProtocolTCP},
		{name: "one tag", load: udp, protocol: packet.ProtocolUDP, shape: func(p *packet.Packet) {
			p.Tags = []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 7}}
		}},
		{name: "two tags", load: tcp, protocol: packet.ProtocolTCP, shape: func(p *packet.Packet) {
			p.Tags = []packet.Tag{{EtherType: packet.EtherTypeProvider, ID: 8}, {EtherType: packet.EtherTypeVLAN, ID: 7}}
		}},
		{name: "options", load: udp, protocol: packet.ProtocolUDP, shape: func(p *packet.Packet) {
			if p.Source.Is4() {
				p.Options = make([]byte, 12)
				return
			}
			p.Extensions = []packet.Extension{
				{Protocol: packet.ProtocolHopByHop},
				{Protocol: packet.ProtocolAuthentication},
				{Protocol: packet.ProtocolDestinationOptions, Data: make([]byte, 14)},
			}
		}},
		{name: "first fragment", load: udp, protocol: packet.ProtocolUDP, shape: func(p *packet.Packet) {
			p.Fragment = &packet.Fragment{Length: 8, More: true}
		}},
		{name: "later fragment", load: udp, protocol: packet.ProtocolUDP, noPorts: true, shape: func(p *packet.Packet) {
			p.Fragment = later
		}},
		{name: "no ports", load: packet.Echo{}, noPorts: true},
	} {
		for family, p := range map[string]packet.Packet{"IPv4": v4, "IPv6": v6} {
			t.Run(test.name+"/"+family, func(t *testing.T) {
				p.Load = test.load
				if test.shape != nil {
					test.shape(&p)
				}
				want := Endpoints{netip.AddrPortFrom(p.Source, 4000), netip.AddrPortFrom(p.Destination, 53)}
				if test.noPorts {
					want = Endpoints{netip.AddrPortFrom(p.Source, 0), netip.AddrPortFrom(p.Destination, 0)}
				}
				protocol, got := readHeaders(p.Bytes())
				if test.protocol != 0 && protocol != test.protocol || got != want {
					t.Errorf("protocol %d %v, should be %d %v", protocol, got, test.protocol, want)
				}
			})
		}
	}
}

// TestReadHeadersOfPieces cuts packets anywhere, and damages their lengths.
func TestReadHeadersOfPieces(*testing.T) {
	p := packet.Packet{
		Tags:   []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 7}},
		Source: netip.MustParseAddr("fd00::1"), Destination: netip.MustParseAddr("fd00::2"),
		Extensions: []packet.Extension{{Protocol: packet.ProtocolHopByHop}, {Protocol: packet.ProtocolAuthentication}},
		Load:       packet.UDP{Source: 4000, Destination: 53},
	}
	v4 := p
	v4.Source, v4.Destination = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	v4.Extensions = nil
	for _, frame := range [][]byte{p.Bytes(), v4.Bytes()} {
		for length := range frame {
			readHeaders(frame[:length])
			damaged := append([]byte(nil), frame...)
			damaged[length] ^= 0xff
			readHeaders(damaged)
		}
	}
}
