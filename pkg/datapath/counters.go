package datapath

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// RuleCounter is how much one rule decided. Bytes are those of whole frames,
// a large packet that is to be segmented counts once.
type RuleCounter struct {
	Packets, Bytes uint64
}

// Counters are those of one container, over all CPUs. Each packet is in
// exactly one of the first six.
type Counters struct {
	Passed             uint64
	Rewritten          uint64
	Dropped            uint64
	RepliesRestored    uint64
	ICMPErrorsRestored uint64
	Malformed          uint64
	// FlowConflicts counts pairs of sockets that used both ports of a rule at
	// the same time.
	FlowConflicts uint64
	// Rules are in the order of the ruleset.
	Rules []RuleCounter
}

// Counters reads the counters of a device. Returns an error wrapping
// ebpf.ErrKeyNotExist if the programs do not heed it.
func (p *Programs) Counters(ifindex int) (*Counters, error) {
	var perCPU [][]byte
	if err := p.maps[programsMapCounters].Lookup(uint32(ifindex), &perCPU); err != nil {
		return nil, fmt.Errorf("read the counters of the device with index %d: %w", ifindex, err)
	}
	near, err := p.near().lookup(uint32(ifindex))
	if err != nil {
		return nil, fmt.Errorf("read the counters of the device with index %d: %w", ifindex, err)
	}
	perCPU = append(perCPU, near...)
	sum := make([]uint64, p.maps[programsMapCounters].ValueSize()/8)
	for _, value := range perCPU {
		for i := range sum {
			sum[i] += binary.NativeEndian.Uint64(value[i*8:])
		}
	}
	return countersOf(sum), nil
}

// countersOf takes the fields of struct counters, all of them __u64, apart.
func countersOf(sum []uint64) *Counters {
	var fixed programsCounters
	out := &Counters{
		Passed:             sum[unsafe.Offsetof(fixed.Passed)/8],
		Rewritten:          sum[unsafe.Offsetof(fixed.Rewritten)/8],
		Dropped:            sum[unsafe.Offsetof(fixed.Dropped)/8],
		RepliesRestored:    sum[unsafe.Offsetof(fixed.RepliesRestored)/8],
		ICMPErrorsRestored: sum[unsafe.Offsetof(fixed.IcmpErrorsRestored)/8],
		Malformed:          sum[unsafe.Offsetof(fixed.Malformed)/8],
		FlowConflicts:      sum[unsafe.Offsetof(fixed.FlowConflicts)/8],
	}
	// What is behind them is the owner.
	for rules := sum[unsafe.Offsetof(fixed.Rules)/8:]; len(rules) >= 2; rules = rules[2:] {
		out.Rules = append(out.Rules, RuleCounter{Packets: rules[0], Bytes: rules[1]})
	}
	return out
}
