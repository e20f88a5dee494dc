package flow

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Flow is a connection to a port that a two-way rule rewrites to, by that rule or
// directly.
type Flow struct {
	Direction rules.Direction
	Protocol  rules.Protocol
	// Container and Peer are its ends, with their ports as they are after the
	// change: on the wire, or in the container for an ingress flow.
	Container, Peer netip.AddrPort
	// Original are the ports of its forward packets before the change: the
	// destination is another one where a rule rewrites it, the source where an
	// older connection has the ports that it would have got.
	Original bpf.Ports
	State    State
	// Idle is how long ago its last packet was, as far as that is known: to some
	// seconds.
	Idle time.Duration
	// IsExpired tells that it counts as gone, and makes room when that is needed.
	IsExpired bool
}

// Read returns the flows of a device in the table, in no order. A flow that begins or
// makes room meanwhile may be missing.
func Read(m *ebpf.Map, ifindex int) ([]Flow, error) {
	if !isFlowTable(m) {
		return nil, errOtherBuild
	}
	now, tick, err := jiffies()
	if err != nil {
		return nil, err
	}
	var flows []Flow
	for record, err := range recordsOf(m, ifindex) {
		if err != nil {
			return nil, err
		}
		if record.Flow.Key.Alias == 0 {
			flows = append(flows, decodeFlow(&record, now, tick))
		}
	}
	return flows, nil
}

var errOtherBuild = errors.New("the container has the programs of another build, whose flows cannot be read: " +
	"xdp-portctl apply gives it those of this one")

func decodeFlow(record *bpf.ProgramsFlowRecord, now uint32, tick time.Duration) Flow {
	key, policy := &record.Flow.Key, policyOf(record.State)
	container, peer := bpf.PortsOf(key.Ports).Source, bpf.PortsOf(key.Ports).Destination
	if key.Direction != 0 {
		container, peer = peer, container
	}
	idle := idleFor(record.Used, now)
	return Flow{
		Direction: rules.Direction(key.Direction),
		Protocol:  rules.Protocol(key.Protocol),
		Container: addrPort(record.Flow.Container, key.Family, container),
		Peer:      addrPort(record.Flow.Peer, key.Family, peer),
		Original:  bpf.PortsOf(record.Flow.Original),
		State:     policy.state,
		Idle:      time.Duration(idle) * tick,
		IsExpired: idle > policy.jiffies(tick),
	}
}

// idleFor returns for how many jiffies a flow was not used, as idle_for() of
// bpf/flow_bucket.h does: it may have been used just after the clock was read.
func idleFor(used, now uint32) uint32 {
	const later = 1 << 16
	if idle := now - used; idle < math.MaxUint32-later+1 {
		return idle
	}
	return 0
}

func addrPort(address bpf.ProgramsAddress, family uint8, port uint16) netip.AddrPort {
	addr := netip.AddrFrom16(bpf.AddressBytes(address))
	if family == 4 {
		addr = addr.Unmap()
	}
	return netip.AddrPortFrom(addr, port)
}

// jiffies reads the clock that flows go by, and how long one tick of it is. Only a
// program can.
func jiffies() (now uint32, tick time.Duration, err error) {
	if tick, err = clockTick(); err != nil {
		return 0, 0, err
	}
	clock, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.FnJiffies64.Call(), asm.Return()},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read the clock of flows: %w", err)
	}
	defer clock.Close()
	now, err = clock.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		return 0, 0, fmt.Errorf("read the clock of flows: %w", err)
	}
	return now, tick, nil
}
