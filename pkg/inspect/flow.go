package inspect

import (
	"cmp"
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Flow is a connection to a port that a rule rewrites to, by that rule or directly.
type Flow struct {
	Direction string `json:"direction"`
	Protocol  string `json:"protocol"`
	// Local and Peer are its ends, Local the container's, as they are after a change
	// of ports. The server's is known as Original to the client: the peer of an
	// egress flow, the container of an ingress flow.
	Local    netip.AddrPort `json:"local"`
	Peer     netip.AddrPort `json:"peer"`
	Original netip.AddrPort `json:"original"`
	// SourceBefore is the client's port before it was changed, since an older
	// connection had it; 0 if it was not.
	SourceBefore uint16 `json:"sourcePortBefore,omitempty"`
	// State is unanswered, answered, opening, established, closing or closed.
	State string `json:"state"`
	// Idle is how many seconds ago its last packet was.
	Idle float64 `json:"idleSeconds"`
	// Rule is the name of the rule that rewrites it now; empty if the one that
	// did is not among the rules any more, and where none did.
	Rule string `json:"rule,omitempty"`
}

func (a *Attachment) flow(f *flow.Flow) Flow {
	out := Flow{
		Direction: f.Direction.String(), Protocol: f.Protocol.String(), Local: f.Container, Peer: f.Peer,
		State: string(f.State), Idle: f.Idle.Seconds(),
	}
	client, server := f.Container, f.Peer
	if f.Direction == rules.Ingress {
		client, server = server, client
	}
	if f.Original.Source != client.Port() {
		out.SourceBefore = f.Original.Source
	}
	out.Original = netip.AddrPortFrom(server.Addr(), f.Original.Destination)
	if i := rules.Decide(a.decided, f.Direction, f.Protocol, f.Original.Destination, f.Peer.Addr()); i >= 0 {
		if rule := &a.decided[i]; rule.Action == rules.Rewrite && rule.Rewritten(f.Original.Destination) == server.Port() {
			out.Rule = rule.Name
		}
	}
	return out
}

func compareFlows(a, b Flow) int {
	return cmp.Or(a.Local.Compare(b.Local), a.Peer.Compare(b.Peer),
		cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Direction, b.Direction))
}
