package flow_test

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
)

// TestFlowsOfLayout1 copies the flows of a build before flows had a state: replies are
// translated back from the first packet on, and nobody takes their ports.
func TestFlowsOfLayout1(t *testing.T) {
	bpftest.NeedRoot(t)
	bpftest.StayOnCPU(t)
	u32 := &btf.Int{Name: "__u32", Size: 4}
	const size = uint32(unsafe.Sizeof(flow.Bucket1{}))
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: u32}}}
	before, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: bpf.ProgramsMapFlows, Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 2, Key: u32,
		Value: &btf.Struct{Name: "flow_bucket", Size: size, Members: []btf.Member{
			{Name: "lock", Type: lock},
			{Name: "rest", Type: &btf.Array{Index: u32, Type: u32, Nelems: size/4 - 1}, Offset: 32},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	var bucket flow.Bucket1
	mapped := func(a [16]byte) bpf.ProgramsAddress { return bpf.ProgramsAddress{Word: bpf.Words(a)} }
	port := func(p uint16) uint16 { return bpftest.FromNetwork(p) } // which is its own inverse
	for i, direction := range []uint8{0, 1} {
		bucket.Tag[i] = 1
		bucket.Flow[i] = flow.Flow1{
			Container: mapped(bpftest.Inside.As16()), Peer: mapped(bpftest.Outside.As16()), Ifindex: bpftest.Loopback,
			ContainerPort: port(4000), PeerPort: port(7998), Protocol: 17, Direction: direction, Family: 4,
			OriginalPort: port(7999),
		}
	}
	bucket.Tag[2], bucket.Flow[2] = 1, bucket.Flow[0]
	bucket.Flow[2].Ifindex = bpftest.Loopback + 1
	if err := before.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}

	after, dir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{Flows: before})
	if err := flow.Copy(before, programtest.Flows(t, dir), bpftest.Loopback); err != nil {
		t.Fatal(err)
	}
	programtest.Want(t, "reply", programtest.Received(t, after, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000)), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 4000))
	if moved := bpftest.MovedTo(t, programtest.Sent(t, after, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997))); moved == 4000 {
		t.Error("another connection got the ports of a flow that was copied")
	}
	flows, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback)
	if err != nil || len(flows) != 3 {
		t.Errorf("%+v, %v", flows, err)
	}
	for _, f := range flows {
		client := f.Container
		if f.Direction != 0 {
			client = f.Peer
		}
		if f.Original.Destination == 7999 && (f.Original.Source != client.Port() || f.State != flow.Answered) {
			t.Errorf("copied as %+v", f)
		}
	}
}
