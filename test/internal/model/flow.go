package model

import (
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// flowKey identifies a flow by the ports of its forward packets after the change.
type flowKey struct {
	dir             rules.Direction // of forward packets
	proto           rules.Protocol
	container, peer netip.Addr
	ports           ports
}

type ports struct{ source, destination uint16 }

func (p ports) reversed() ports { return ports{p.destination, p.source} }

// flow is a connection to a port that a two-way rewrite may produce.
type flow struct {
	original ports // before the change
	connection
}

// aliasKey identifies a connection with a translated source port: by the ports that it
// would have otherwise, and its original destination port.
type aliasKey struct {
	flowKey
	asked uint16
}

// ends are the addresses and ports of a packet.
type ends struct {
	proto               rules.Protocol
	source, destination netip.Addr
	ports
}

// key returns the key of the flow in direction dir that a packet with these ends
// belongs to, as a forward packet or a reply. sent means that the container is the
// source.
func (e ends) key(dir rules.Direction, sent bool) flowKey {
	key := flowKey{dir, e.proto, e.source, e.destination, e.ports}
	if !sent {
		key.container, key.peer = key.peer, key.container
	}
	if sent != (dir == rules.Egress) {
		key.ports = e.reversed()
	}
	return key
}

// peer returns the address that is not the container's.
func (e ends) peer(sent bool) netip.Addr {
	if sent {
		return e.destination
	}
	return e.source
}

// isTarget reports whether a two-way rewrite of this direction and protocol may produce
// the port, for any peer and regardless of earlier rules.
func (m *Model) isTarget(dir rules.Direction, proto rules.Protocol, port uint16) bool {
	for i := range m.Rules {
		r := &m.Rules[i]
		if r.Direction == dir && r.Protocol == proto && r.Action == rules.Rewrite && !r.OneWay && r.To.Contains(port) {
			return true
		}
	}
	return false
}

// find returns the flow with this key, nil if there is none or it has expired.
func (m *Model) find(key flowKey) *flow {
	if f := m.flows[key]; f != nil && !f.hasExpired(m.Now) {
		return f
	}
	return nil
}

// findOwn returns the flow of a forward packet and its key. key has the ports of the
// packet without source-port translation. Returns nil if there is no flow.
func (m *Model) findOwn(key flowKey, original ports) (*flow, flowKey) {
	if f := m.find(key); f != nil && f.original == original {
		return f, key
	}
	source, moved := m.aliases[aliasKey{key, original.destination}]
	if !moved {
		return nil, key
	}
	there := key
	there.ports.source = source
	if f := m.find(there); f != nil && f.original == original {
		return f, there
	}
	return nil, key
}

// isFree reports whether no live flow has the key.
func (m *Model) isFree(key flowKey) bool { return m.find(key) == nil }

// track returns the ports for a forward packet: those of key, unless an older flow has
// them; then with another source port. Returns false if no source port is free.
func (m *Model) track(key flowKey, original ports, s segment, at int) (ports, bool) {
	if f, there := m.findOwn(key, original); f != nil {
		f.follow(s, m.Now)
		return there.ports, true
	}
	place := func(key flowKey) (ports, bool) {
		m.flows[key] = &flow{original, begin(key.proto, s, m.Now)}
		return key.ports, true
	}
	if source, moved := m.aliases[aliasKey{key, original.destination}]; moved {
		there := key
		there.ports.source = source
		if m.isFree(there) { // the expired flow comes back
			return place(there)
		}
	}
	if m.isFree(key) {
		return place(key)
	}
	there := key
	source, found := m.PickPort(at, key.ports.source, func(port uint16) bool {
		there.ports.source = port
		return m.isFree(there)
	})
	if !found {
		m.Counters.PortsExhausted++
		return ports{}, false
	}
	m.Counters.PortsMoved++
	there.ports.source = source
	m.aliases[aliasKey{key, original.destination}] = source
	return place(there)
}

// Choices returns the range of source ports for the translation of a source port, as in
// netfilter.
func Choices(source uint16) (first, last uint16) {
	switch {
	case source < 512:
		return 1, 511
	case source < 1024:
		return 600, 1023
	}
	return 1024, 65535
}
