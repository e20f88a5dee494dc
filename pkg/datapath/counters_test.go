package datapath_test

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
)

// TestCountersOfLayout1 reads counters as a build before flows had a state has them.
func TestCountersOfLayout1(t *testing.T) {
	p, _ := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{})
	const fixed, ruleCount = datapath.FixedCounters1, 2
	before, err := ebpf.NewMap(&ebpf.MapSpec{
		Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 8 * (fixed + 2*ruleCount), MaxEntries: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	values := make([][]uint64, ebpf.MustPossibleCPU())
	for cpu := range values {
		values[cpu] = make([]uint64, fixed+2*ruleCount)
	}
	copy(values[0], []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	if err := before.Put(uint32(bpftest.Loopback), values); err != nil {
		t.Fatal(err)
	}
	_ = p.Maps()[bpf.ProgramsMapCounters].Close()
	p.Maps()[bpf.ProgramsMapCounters] = before
	p.Maps()[bpf.ProgramsMapFastCounterOwners], p.Maps()[bpf.ProgramsMapFastCounters] = nil, nil
	got, err := p.Counters(bpftest.Loopback)
	if err != nil || got.Passed != 1 || got.Malformed != 6 || got.PortsMoved != 0 || len(got.Rules) != ruleCount ||
		got.Rules[0] != (datapath.RuleCounter{8, 9}) || got.Rules[1] != (datapath.RuleCounter{10, 11}) {
		t.Errorf("%+v, %v", got, err)
	}
}
