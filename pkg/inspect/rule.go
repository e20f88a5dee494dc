package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Rule is a rule in the words of the configuration, and what it decided.
type Rule struct {
	Index     int            `json:"index"`
	Name      string         `json:"name"`
	Direction string         `json:"direction"`
	Protocol  string         `json:"protocol"`
	Port      Ports          `json:"port,omitzero"`
	Action    string         `json:"action"`
	ToPort    Ports          `json:"toPort,omitzero"`
	CIDRs     []netip.Prefix `json:"cidrs,omitempty"`
	OneWay    bool           `json:"oneWay,omitempty"`
	// Packets and Bytes are those that the rule decided, under whichever ruleset
	// it was; bytes of whole frames.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// RuleOf puts a rule in the words of the configuration.
func RuleOf(index int, r *rules.Rule) Rule {
	out := Rule{
		Index: index, Name: r.Name, Direction: r.Direction.String(), Protocol: r.Protocol.String(),
		Action: r.Action.String(), CIDRs: r.Peers, OneWay: r.OneWay,
	}
	if r.Ports != rules.EveryPort {
		out.Port = Ports(r.Ports)
	}
	if r.Action == rules.Rewrite {
		out.ToPort = Ports(r.To)
	}
	return out
}

// String says what the rule does, all but its name: "egress udp 53 -> 5353
// with 10.0.0.0/8".
func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Direction, r.Protocol)
	if r.Port == (Ports{}) {
		b.WriteString(" every port")
	} else {
		fmt.Fprintf(&b, " %s", r.Port)
	}
	if r.ToPort != (Ports{}) {
		fmt.Fprintf(&b, " -> %s", r.ToPort)
	} else {
		fmt.Fprintf(&b, " %s", r.Action)
	}
	if r.OneWay {
		b.WriteString(" one way")
	}
	if len(r.CIDRs) > 0 {
		fmt.Fprintf(&b, " %s %s", map[string]string{"egress": "to", "ingress": "from"}[r.Direction], joinPrefixes(r.CIDRs))
	}
	return b.String()
}

func joinPrefixes(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ", ")
}

// Ports is a range of ports; the zero value is none.
type Ports rules.PortRange

// String returns the port, or the range as the configuration has it.
func (p Ports) String() string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// MarshalJSON returns a number, or a string for a range, as the configuration
// has it.
func (p Ports) MarshalJSON() ([]byte, error) {
	if p.First == p.Last {
		return json.Marshal(p.First)
	}
	return json.Marshal(p.String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Ports) UnmarshalJSON(text []byte) error {
	text = bytes.Trim(text, `"`)
	if n, _ := fmt.Sscanf(string(text), "%d-%d", &p.First, &p.Last); n == 0 {
		return fmt.Errorf("%s is neither a port nor a range of ports", text)
	} else if n == 1 {
		p.Last = p.First
	}
	return nil
}
