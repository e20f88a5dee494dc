package datapath

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// RuleCounter counts what one rule decided. Bytes are those of whole frames; a GSO packet counts once.
type RuleCounter struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Counters are those of one container, over all CPUs. Each packet is in
// exactly one of the first six.
type Counters struct {
	Passed             uint64 `json:"passed"`
	Rewritten          uint64 `json:"rewritten"`
	Dropped            uint64 `json:"dropped"`
	RepliesRestored    uint64 `json:"repliesRestored"`
	ICMPErrorsRestored uint64 `json:"icmpErrorsRestored"`
	Malformed          uint64 `json:"malformed"`
	// PortsMoved counts connections whose source port was changed, since an older
	// one has the ports that they would have got.
	PortsMoved uint64 `json:"portsMoved"`
	// PortsExhausted counts packets dropped because no other port was free.
	PortsExhausted uint64 `json:"portsExhausted"`
	// FlowsEvicted counts flows that made room for one of this container's.
	FlowsEvicted uint64 `json:"flowsEvicted"`
	// FlowsEvictedLive counts those of them that had not expired.
	FlowsEvictedLive uint64 `json:"flowsEvictedLive"`
	// Rules are in the order of the ruleset.
	Rules []RuleCounter `json:"rules"`
}

// CheckCounters returns an error wrapping pin.ErrPin if a foreign map is in the place of the counters.
func (p *Programs) CheckCounters() error {
	if m := p.maps[bpf.ProgramsMapCounters]; !isCounters(m) {
		return fmt.Errorf("%w: open %s: another map is in its place: %s", pin.ErrPin, bpf.ProgramsMapCounters, m)
	}
	return nil
}

// Counters reads the counters of a device. Returns an error wrapping
// ebpf.ErrKeyNotExist if the interface is not enabled.
func (p *Programs) Counters(ifindex int) (*Counters, error) {
	if err := p.CheckCounters(); err != nil {
		return nil, err
	}
	var perCPU [][]byte
	if err := p.maps[bpf.ProgramsMapCounters].Lookup(uint32(ifindex), &perCPU); err != nil {
		return nil, fmt.Errorf("read the counters of the device with index %d: %w", ifindex, err)
	}
	fast, err := p.fastCounters().lookup(uint32(ifindex))
	if err != nil {
		return nil, fmt.Errorf("read the counters of the device with index %d: %w", ifindex, err)
	}
	perCPU = append(perCPU, fast...)
	sum := make([]uint64, p.maps[bpf.ProgramsMapCounters].ValueSize()/8)
	for _, value := range perCPU {
		for i := range sum {
			sum[i] += binary.NativeEndian.Uint64(value[i*8:])
		}
	}
	if hasCounters1(p.maps[bpf.ProgramsMapCounters]) {
		return countersOf(inThisLayout(sum)), nil
	}
	return countersOf(sum[:len(sum)-ownerSize/8]), nil
}

// inThisLayout moves the counters of an earlier build to where this one has them.
func inThisLayout(sum []uint64) []uint64 {
	fixed := make([]uint64, fixedCounters)
	copy(fixed, sum[:fixedCounters1-1])
	return append(fixed, sum[fixedCounters1:]...)
}

// countersOf decodes the fields of struct counters, all of them __u64.
func countersOf(sum []uint64) *Counters {
	var fixed bpf.ProgramsCounters
	out := &Counters{
		Passed:             sum[unsafe.Offsetof(fixed.Passed)/8],
		Rewritten:          sum[unsafe.Offsetof(fixed.Rewritten)/8],
		Dropped:            sum[unsafe.Offsetof(fixed.Dropped)/8],
		RepliesRestored:    sum[unsafe.Offsetof(fixed.RepliesRestored)/8],
		ICMPErrorsRestored: sum[unsafe.Offsetof(fixed.IcmpErrorsRestored)/8],
		Malformed:          sum[unsafe.Offsetof(fixed.Malformed)/8],
		PortsMoved:         sum[unsafe.Offsetof(fixed.PortsMoved)/8],
		PortsExhausted:     sum[unsafe.Offsetof(fixed.PortsExhausted)/8],
		FlowsEvicted:       sum[unsafe.Offsetof(fixed.FlowsEvicted)/8],
		FlowsEvictedLive:   sum[unsafe.Offsetof(fixed.FlowsEvictedLive)/8],
	}
	for rules := sum[unsafe.Offsetof(fixed.Rules)/8:]; len(rules) > 0; rules = rules[2:] {
		out.Rules = append(out.Rules, RuleCounter{Packets: rules[0], Bytes: rules[1]})
	}
	return out
}

// Add adds what was counted before, for rules in the same order.
func (c *Counters) Add(before *Counters) {
	if before == nil {
		return
	}
	c.Passed += before.Passed
	c.Rewritten += before.Rewritten
	c.Dropped += before.Dropped
	c.RepliesRestored += before.RepliesRestored
	c.ICMPErrorsRestored += before.ICMPErrorsRestored
	c.Malformed += before.Malformed
	c.PortsMoved += before.PortsMoved
	c.PortsExhausted += before.PortsExhausted
	c.FlowsEvicted += before.FlowsEvicted
	c.FlowsEvictedLive += before.FlowsEvictedLive
	for i := range min(len(c.Rules), len(before.Rules)) {
		c.Rules[i].Packets += before.Rules[i].Packets
		c.Rules[i].Bytes += before.Rules[i].Bytes
	}
}
