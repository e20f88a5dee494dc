package model

import (
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// flowKey is a flow as it is on the wire, after the rewrite. Its value is the
// destination port before the rewrite.
type flowKey struct {
	dir                     rules.Direction // of the packets that are rewritten
	proto                   rules.Protocol
	container, peer         netip.Addr
	containerPort, peerPort uint16
}

// ends are the addresses and ports of a packet.
type ends struct {
	proto                       rules.Protocol
	source, destination         netip.Addr
	sourcePort, destinationPort uint16
}

// key is that of the flow of direction dir which a packet with these ends is
// in, either way. sent says that the container is the source.
func (e ends) key(dir rules.Direction, sent bool) flowKey {
	if sent {
		return flowKey{dir, e.proto, e.source, e.destination, e.sourcePort, e.destinationPort}
	}
	return flowKey{dir, e.proto, e.destination, e.source, e.destinationPort, e.sourcePort}
}

// peer is the address that is not the container's.
func (e ends) peer(sent bool) netip.Addr {
	if sent {
		return e.destination
	}
	return e.source
}

// isTarget tells whether a two-way rewrite of this direction and protocol may
// produce the port, for any peer and even if other rules are before it.
func (m *Model) isTarget(dir rules.Direction, proto rules.Protocol, port uint16) bool {
	for i := range m.Rules {
		r := &m.Rules[i]
		if r.Direction == dir && r.Protocol == proto && r.Action == rules.Rewrite && !r.OneWay && r.To.Contains(port) {
			return true
		}
	}
	return false
}

// find looks a flow up by the port in it that a rewrite may have produced.
func (m *Model) find(key flowKey, rewritten uint16) (originalPort uint16, found bool) {
	if !m.isTarget(key.dir, key.proto, rewritten) {
		return 0, false
	}
	originalPort, found = m.flows[key]
	return originalPort, found
}

// remember notes a rewritten flow. The newest original port wins.
func (m *Model) remember(key flowKey, originalPort uint16) {
	before, found := m.flows[key]
	if found && before != originalPort {
		m.Counters.FlowConflicts++
	}
	m.flows[key] = originalPort
}

// forget drops the flow, if there is one, that a packet without a rewritten
// flow of its own makes doubtful.
func (m *Model) forget(key flowKey, rewritten uint16) {
	if _, found := m.find(key, rewritten); found {
		delete(m.flows, key)
		m.Counters.FlowConflicts++
	}
}
