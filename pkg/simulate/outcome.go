package simulate

import (
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Outcome is what the rules do to a packet.
type Outcome struct {
	// Rule is the index of the rule that decides, or -1 if no rule matches.
	Rule int
	// Action is the action of that rule, or rules.Pass if no rule matches.
	Action rules.Action
	// After is the packet after the rewrite. It equals the packet before unless a
	// rule rewrites it.
	After Packet
	// RestoresReplies reports that the container gets replies with the original
	// port.
	RestoresReplies bool
}

// Run returns what a list of rules does to a packet.
func Run(p Packet, list []rules.Rule) Outcome {
	out := Outcome{
		Rule:   rules.Decide(list, p.Direction, p.Protocol, p.Destination.Port(), p.peer().Addr()),
		Action: rules.Pass,
		After:  p,
	}
	if out.Rule < 0 {
		return out
	}
	rule := &list[out.Rule]
	out.Action = rule.Action
	if rule.Action == rules.Rewrite {
		out.After.Destination = netip.AddrPortFrom(p.Destination.Addr(), rule.Rewritten(p.Destination.Port()))
		out.RestoresReplies = !rule.OneWay
	}
	return out
}
