// Package simulate computes what rules do to a packet, without a kernel.
//
// It decides the first packet of a connection. Replies of rewritten packets follow
// their flow, which a list of rules alone does not tell.
package simulate

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Packet is the first TCP or UDP packet of a connection that a container sends or
// receives.
type Packet struct {
	Direction rules.Direction
	Protocol  rules.Protocol
	// Source and Destination have the same address family.
	Source, Destination netip.AddrPort
}

// ParsePacket reads a packet such as "udp 10.0.0.2:4000 > 1.1.1.1:53". IPv6
// addresses are in brackets. The word "egress" or "ingress" may come first and
// overrides the given direction.
func ParsePacket(text string, direction rules.Direction) (Packet, error) {
	words := strings.Fields(strings.NewReplacer("->", " > ", ">", " > ").Replace(text))
	p := Packet{Direction: direction}
	for _, named := range []rules.Direction{rules.Egress, rules.Ingress} {
		if len(words) > 0 && words[0] == named.String() {
			p.Direction, words = named, words[1:]
			break
		}
	}
	if len(words) != 4 || words[2] != ">" {
		return Packet{}, fmt.Errorf("%q is not a packet such as %q", text, "udp 10.0.0.2:4000 > 1.1.1.1:53")
	}
	var err error
	if p.Protocol, err = parseProtocol(words[0]); err != nil {
		return Packet{}, err
	}
	if p.Source, err = parseEnd(words[1]); err != nil {
		return Packet{}, err
	}
	if p.Destination, err = parseEnd(words[3]); err != nil {
		return Packet{}, err
	}
	if p.Source.Addr().Is4() != p.Destination.Addr().Is4() {
		return Packet{}, errors.New("source and destination have different address families: both must be IPv4, or both IPv6")
	}
	return p, nil
}

func parseProtocol(word string) (rules.Protocol, error) {
	for _, protocol := range []rules.Protocol{rules.TCP, rules.UDP} {
		if strings.EqualFold(word, protocol.String()) {
			return protocol, nil
		}
	}
	return 0, fmt.Errorf("%q is not a protocol (tcp or udp)", word)
}

func parseEnd(word string) (netip.AddrPort, error) {
	end, err := netip.ParseAddrPort(word)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address and a port, such as 10.0.0.2:53 or [fd00::2]:53", word)
	}
	if end.Addr().Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%q has a zone: leave it out, because packets have none", word)
	}
	return netip.AddrPortFrom(end.Addr().Unmap(), end.Port()), nil
}

// String returns the packet in the form that ParsePacket reads.
func (p Packet) String() string {
	return fmt.Sprintf("%s %s %s > %s", p.Direction, p.Protocol, p.Source, p.Destination)
}

// peer returns the end that is not the container.
func (p Packet) peer() netip.AddrPort {
	if p.Direction == rules.Ingress {
		return p.Source
	}
	return p.Destination
}
