package inspect

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/xdp-port/xdp-port/pkg/trace"
)

// Decision is the verdict on one packet, with names of container, interface and rule.
type Decision struct {
	Time      time.Time `json:"time"`
	Network   string    `json:"network"`
	Container string    `json:"container"`
	Interface string    `json:"interface"`
	Direction string    `json:"direction"`
	// Protocol is tcp, udp, icmp, icmpv6, or a number; empty if the packet is not IP.
	Protocol string `json:"protocol"`
	Before   Ends   `json:"before,omitzero"`
	After    Ends   `json:"after,omitzero"`
	// QuotedBefore and QuotedAfter are the ports of the packet that an ICMP error quotes, if
	// they were changed.
	QuotedBefore QuotedPorts `json:"quotedPortsBefore,omitzero"`
	QuotedAfter  QuotedPorts `json:"quotedPortsAfter,omitzero"`
	Verdict      string      `json:"verdict"`
	// Rule is the name of the rule that decided, empty for none.
	Rule string `json:"rule,omitempty"`
	// PortMoved reports that the packet began a connection that got another source port,
	// NoPort that the packet was dropped because no port was free.
	PortMoved bool `json:"portMoved,omitempty"`
	NoPort    bool `json:"noPort,omitempty"`
	// Length is the length of the whole frame in bytes.
	Length int `json:"length"`
	// Headers are the first bytes of the frame after rewriting.
	Headers []byte `json:"-"`
}

// QuotedPorts are the ports of a packet that an ICMP error quotes.
type QuotedPorts struct {
	Source      uint16 `json:"source"`
	Destination uint16 `json:"destination"`
}

// Ends are the source and destination of a packet.
type Ends struct {
	Source      End `json:"source"`
	Destination End `json:"destination"`
}

// End is an address and a port. The port is 0 if there is none.
type End struct{ netip.AddrPort }

// String leaves out a port of 0.
func (e End) String() string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.AddrPort.String()
}

// MarshalText returns String, or an empty text without an address.
func (e End) MarshalText() ([]byte, error) {
	if !e.IsValid() {
		return nil, nil
	}
	return []byte(e.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (e *End) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*e = End{}
		return nil
	}
	if e.AddrPort, err = netip.ParseAddrPort(string(text)); err == nil {
		return nil
	}
	addr, err := netip.ParseAddr(string(text))
	e.AddrPort = netip.AddrPortFrom(addr, 0)
	return err
}

func endsOf(e trace.Endpoints) Ends { return Ends{End{e.Source}, End{e.Destination}} }

func protocolName(number uint8) string {
	names := map[uint8]string{0: "", 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
	if name, known := names[number]; known {
		return name
	}
	return fmt.Sprint(number)
}

// String describes the packet before and after: "udp 10.88.0.2:4000 > 1.1.1.1:53 -> ...".
func (d *Decision) String() string {
	var b strings.Builder
	if d.Protocol == "" {
		b.WriteString("not an IP packet")
	} else {
		fmt.Fprintf(&b, "%s %s > %s", d.Protocol, d.Before.Source, d.Before.Destination)
	}
	if d.After.Destination != d.Before.Destination {
		fmt.Fprintf(&b, " -> %s", d.After.Destination)
	}
	if d.After.Source != d.Before.Source {
		fmt.Fprintf(&b, ", from %s", d.After.Source)
	}
	if was, is := d.QuotedBefore, d.QuotedAfter; was.Source != is.Source {
		fmt.Fprintf(&b, ", quoting source port %d instead of %d", is.Source, was.Source)
	}
	if was, is := d.QuotedBefore, d.QuotedAfter; was.Destination != is.Destination {
		fmt.Fprintf(&b, ", quoting port %d instead of %d", is.Destination, was.Destination)
	}
	return b.String()
}
