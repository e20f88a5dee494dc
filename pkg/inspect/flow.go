package inspect

import (
	"cmp"
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Flow is a pair of sockets whose packets are rewritten, and whose replies are
// put right.
type Flow struct {
	Direction string `json:"direction"`
	Protocol  string `json:"protocol"`
	// Local and Peer are its ends, Local the container's. One of them, the peer of
	// an egress flow or the container of an ingress flow, is known as Original to
	// the sender.
	Local    netip.AddrPort `json:"local"`
	Peer     netip.AddrPort `json:"peer"`
	Original netip.AddrPort `json:"original"`
	// Rule is the name of the rule that rewrites it now; empty if the one that
	// did is not among the rules any more.
	Rule string `json:"rule,omitempty"`
}

func (a *Attachment) flow(f *datapath.Flow) Flow {
	out := Flow{
		Direction: f.Direction.String(), Protocol: f.Protocol.String(), Local: f.Container, Peer: f.Peer,
	}
	target := f.Peer
	if f.Direction == rules.Ingress {
		target = f.Container
	}
	out.Original = netip.AddrPortFrom(target.Addr(), f.OriginalPort)
	if i := rules.Decide(a.decided, f.Direction, f.Protocol, f.OriginalPort, f.Peer.Addr()); i >= 0 {
		if rule := &a.decided[i]; rule.Action == rules.Rewrite && rule.Rewritten(f.OriginalPort) == target.Port() {
			out.Rule = rule.Name
		}
	}
	return out
}

func compareFlows(a, b Flow) int {
	return cmp.Or(a.Local.Compare(b.Local), a.Peer.Compare(b.Peer),
		cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Direction, b.Direction))
}
