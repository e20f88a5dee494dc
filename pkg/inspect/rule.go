package inspect

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Rule is a rule in the words of the configuration, with its counters.
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
	// Packets and Bytes count what the rule decided under all rulesets since ADD. Bytes are
	// those of whole frames.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// RuleOf returns a rule in the words of the configuration.
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

// String describes the rule without its name: "egress udp 53 -> 5353 to 10.0.0.0/8".
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
