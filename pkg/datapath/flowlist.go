package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Flow is a rewritten flow whose replies get the original port back.
type Flow struct {
	Direction rules.Direction
	Protocol  rules.Protocol
	// Container and Peer are its ends, with their ports as they are on the wire
	// after the rewrite.
	Container, Peer netip.AddrPort
	// OriginalPort is the destination port before the rewrite.
	OriginalPort uint16
}

// ReadFlows returns the flows of a device, of the ruleset pinned in dir, in no
// order. One that begins or makes room meanwhile may be missing.
func ReadFlows(dir string, ifindex int) ([]Flow, error) {
	m, err := OpenFlows(dir)
	if err != nil {
		return nil, fmt.Errorf("open the flows: %w", err)
	}
	defer m.Close()
	if !isFlowTable(m) {
		return nil, errOtherBuild
	}
	var flows []Flow
	for flow, err := range flowsOf(m, ifindex) {
		if err != nil {
			return nil, err
		}
		flows = append(flows, decodeFlow(&flow))
	}
	return flows, nil
}

var errOtherBuild = errors.New("the container has the programs of another build, whose flows cannot be read: " +
	"xdp-portctl apply gives it those of this one")

func decodeFlow(flow *programsFlow) Flow {
	key := &flow.Key
	end := func(address programsAddress, port uint16) netip.AddrPort {
		addr := netip.AddrFrom16(addressBytes(address))
		if key.Family == 4 {
			addr = addr.Unmap()
		}
		return netip.AddrPortFrom(addr, fromNetwork(port))
	}
	return Flow{
		Direction:    rules.Direction(key.Direction),
		Protocol:     rules.Protocol(key.Protocol),
		Container:    end(flow.Container, key.ContainerPort),
		Peer:         end(flow.Peer, key.PeerPort),
		OriginalPort: fromNetwork(flow.OriginalPort),
	}
}

// addressBytes undoes words.
func addressBytes(address programsAddress) (out [16]byte) {
	binary.NativeEndian.PutUint64(out[:8], address.Word[0])
	binary.NativeEndian.PutUint64(out[8:], address.Word[1])
	return out
}
