// Package trial tells what rules would do to a packet, without a kernel.
package trial

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Packet is a TCP or UDP packet that a container sends or receives: the first
// of its pair of sockets, so that it is no reply.
type Packet struct {
	Direction rules.Direction
	Protocol  rules.Protocol
	// Source and Destination are of the same family.
	Source, Destination netip.AddrPort
}

// Parse reads a packet as "udp 10.0.0.2:4000 > 1.1.1.1:53", IPv6 addresses in
// brackets, with "egress" or "ingress" before it. Without, it goes in the given
// direction.
func Parse(text string, direction rules.Direction) (Packet, error) {
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
		return Packet{}, errors.New("a packet goes from IPv4 to IPv4, or from IPv6 to IPv6")
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
		return netip.AddrPort{}, fmt.Errorf("%q has a zone, which no packet carries", word)
	}
	return netip.AddrPortFrom(end.Addr().Unmap(), end.Port()), nil
}

// String returns the packet as Parse reads it.
func (p Packet) String() string {
	return fmt.Sprintf("%s %s %s > %s", p.Direction, p.Protocol, p.Source, p.Destination)
}

// peer is the other end than the container.
func (p Packet) peer() netip.AddrPort {
	if p.Direction == rules.Ingress {
		return p.Source
	}
	return p.Destination
}
