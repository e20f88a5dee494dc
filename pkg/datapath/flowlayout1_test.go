package datapath

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// TestFlowsOfLayout1 copies the flows of a build before flows had a state: replies are
// translated back from the first packet on, and nobody takes their ports.
func TestFlowsOfLayout1(t *testing.T) {
	stayOnCPU(t)
	u32 := &btf.Int{Name: "__u32", Size: 4}
	const size = uint32(unsafe.Sizeof(flowBucket1{}))
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: u32}}}
	before, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: programsMapFlows, Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 2, Key: u32,
		Value: &btf.Struct{Name: "flow_bucket", Size: size, Members: []btf.Member{
			{Name: "lock", Type: lock},
			{Name: "rest", Type: &btf.Array{Index: u32, Type: u32, Nelems: size/4 - 1}, Offset: 32},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	var bucket flowBucket1
	mapped := func(a [16]byte) programsAddress { return programsAddress{Word: words(a)} }
	port := func(p uint16) uint16 { return fromNetwork(p) } // which is its own inverse
	for i, direction := range []uint8{0, 1} {
		bucket.Tag[i] = 1
		bucket.Flow[i] = flow1{
			Container: mapped(inside.As16()), Peer: mapped(outside.As16()), Ifindex: loopback,
			ContainerPort: port(4000), PeerPort: port(7998), Protocol: 17, Direction: direction, Family: 4,
			OriginalPort: port(7999),
		}
	}
	bucket.Tag[2], bucket.Flow[2] = 1, bucket.Flow[0]
	bucket.Flow[2].Ifindex = loopback + 1
	if err := before.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}

	after, dir := pinned(t, flowPorts(1024), Shared{Flows: before})
	if err := CopyFlows(before, dir, loopback); err != nil {
		t.Fatal(err)
	}
	want(t, "reply", received(t, after, udp(outside, 7998, inside, 4000)), udp(outside, 7999, inside, 4000))
	if moved := movedTo(t, sent(t, after, udp(inside, 4000, outside, 7997))); moved == 4000 {
		t.Error("another connection got the ports of a flow that was copied")
	}
	flows, err := ReadFlows(dir, loopback)
	if err != nil || len(flows) != 3 {
		t.Errorf("%+v, %v", flows, err)
	}
	for _, flow := range flows {
		client := flow.Container
		if flow.Direction != 0 {
			client = flow.Peer
		}
		if flow.Original.Destination == 7999 && (flow.Original.Source != client.Port() || flow.State != FlowAnswered) {
			t.Errorf("copied as %+v", flow)
		}
	}
}

// TestCountersOfLayout1 reads counters as a build before flows had a state has them.
func TestCountersOfLayout1(t *testing.T) {
	p, _ := pinned(t, flowPorts(1024), Shared{})
	const fixed, ruleCount = fixedCounters1, 2
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
	if err := before.Put(uint32(loopback), values); err != nil {
		t.Fatal(err)
	}
	_ = p.maps[programsMapCounters].Close()
	p.maps[programsMapCounters] = before
	p.maps[programsMapFastCounterOwners], p.maps[programsMapFastCounters] = nil, nil
	got, err := p.Counters(loopback)
	if err != nil || got.Passed != 1 || got.Malformed != 6 || got.PortsMoved != 0 || len(got.Rules) != ruleCount ||
		got.Rules[0] != (RuleCounter{8, 9}) || got.Rules[1] != (RuleCounter{10, 11}) {
		t.Errorf("%+v, %v", got, err)
	}
}
