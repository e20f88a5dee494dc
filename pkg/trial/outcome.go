package trial

import (
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Outcome is what becomes of a packet.
type Outcome struct {
	// Rule is the index of the rule that decides, -1 for none.
	Rule int
	// Action is what becomes of the packet: rules.Pass where no rule decides.
	Action rules.Action
	// After is the packet as it goes on; the same unless it is rewritten.
	After Packet
	// Restored tells that replies get the original port back.
	Restored bool
}

// Under returns what becomes of the packet under a list of rules.
func (p Packet) Under(list []rules.Rule) Outcome {
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
		out.Restored = !rule.OneWay
	}
	return out
}
