package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Flow is a connection to a port that a rule rewrites to. Either the rule rewrote the port, or
// the client used it directly.
type Flow struct {
	Direction string `json:"direction"`
	Protocol  string `json:"protocol"`
	// Local is the end of the container, Peer the other one, both after rewriting. Original
	// is the server's end as the client knows it: the peer of an egress flow, the container of
	// an ingress flow.
	Local    netip.AddrPort `json:"local"`
	Peer     netip.AddrPort `json:"peer"`
	Original netip.AddrPort `json:"original"`
	// SourceBefore is the client's port before it was changed, because an older connection has
	// the same ports; 0 if it was not changed.
	SourceBefore uint16 `json:"sourcePortBefore,omitempty"`
	// State is unanswered, answered, opening, established, closing or closed.
	State string `json:"state"`
	// Idle is the time since the last packet in seconds.
	Idle float64 `json:"idleSeconds"`
	// Rule is the name of the rule that rewrites it now; empty if no rule does.
	Rule string `json:"rule,omitempty"`
}

// Flows returns the flows of an attachment that have not expired, sorted by local address and
// port.
func (a *Attachment) Flows() ([]Flow, error) {
	table, err := a.rulesetFolder.OpenFlows()
	if err != nil {
		return nil, fmt.Errorf("open the flows: %w", err)
	}
	defer table.Close()
	found, err := flow.Read(table, a.Index)
	if err != nil {
		return nil, err
	}
	var flows []Flow
	for i := range found {
		if !found[i].IsExpired {
			flows = append(flows, a.flow(&found[i]))
		}
	}
	slices.SortFunc(flows, compareFlows)
	return flows, nil
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
