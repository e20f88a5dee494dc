package flow_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
)

// TestFlowsAreCopied copies the flows of one device to a ruleset that has some of
// its own.
func TestFlowsAreCopied(t *testing.T) {
	bpftest.StayOnCPU(t)
	// The table has room for many more, so no bucket is ever full.
	from, fromDir := programtest.Pinned(t, programtest.FlowPorts(16384), datapath.Shared{})
	to, toDir := programtest.Pinned(t, programtest.FlowPorts(32768), datapath.Shared{})
	const count = 200
	for port := uint16(1000); port < 1000+count; port++ {
		bpftest.Run(t, from.FromContainerTC, bpftest.UDP(bpftest.Inside, port, bpftest.Outside, 7999).Bytes())
	}
	bpftest.Run(t, to.FromContainerTC, bpftest.UDP(bpftest.Inside, 1000, bpftest.Outside, 7997).Bytes())

	flows := programtest.Flows(t, fromDir)
	if err := errors.Join(flow.Copy(flows, programtest.Flows(t, toDir), bpftest.Loopback+1), flow.Copy(flows, programtest.Flows(t, fromDir), bpftest.Loopback)); err != nil {
		t.Fatal(err)
	}
	if got := original(t, to, 1001); got != 7998 {
		t.Errorf("a flow of another device was copied: the reply comes from %d", got)
	}
	if err := flow.Copy(flows, programtest.Flows(t, toDir), bpftest.Loopback); err != nil {
		t.Fatal(err)
	}
	if got := original(t, to, 1000); got != 7997 {
		t.Errorf("a flow that was there did not stay: the reply comes from %d", got)
	}
	for port := uint16(1001); port < 1000+count; port++ {
		if got := original(t, to, port); got != 7999 {
			t.Errorf("flow %d was not copied: the reply comes from %d", port, got)
		}
	}
	if copied, err := flow.Read(programtest.Flows(t, toDir), bpftest.Loopback); len(copied) != count || err != nil {
		t.Errorf("%d flows, %v", len(copied), err)
	}
}

// TestExpiredFlowsStay has a flow that has expired not be copied, where it would take the
// place of another container's.
func TestExpiredFlowsStay(t *testing.T) {
	bpftest.StayOnCPU(t)
	from, fromDir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	_, toDir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	source, target := programtest.Flows(t, fromDir), programtest.Flows(t, toDir)
	now, tick, err := flow.Jiffies()
	if err != nil {
		t.Fatal(err)
	}
	programtest.Sent(t, from, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999))
	var expired, full, after bpf.ProgramsFlowBucket
	if err := source.Lookup(uint32(0), &expired); err != nil {
		t.Fatal(err)
	}
	for slot := range full.Tag {
		expired.Used[slot] -= uint32(time.Hour / tick)
		full.Tag[slot], full.Used[slot], full.Owner[slot] = uint32(slot)<<1|1, now, bpftest.Loopback+1
		full.Flow[slot].Key.Ifindex = bpftest.Loopback + 1
	}
	err = errors.Join(source.Put(uint32(0), &expired), target.Put(uint32(0), &full),
		flow.Copy(source, programtest.Flows(t, toDir), bpftest.Loopback), target.Lookup(uint32(0), &after))
	if err != nil {
		t.Fatal(err)
	}
	if after.Flow != full.Flow {
		t.Errorf("it was copied: %+v", after)
	}
}

// TestFlowsAreShared has a ruleset take over the flows of another one, and their
// seed.
func TestFlowsAreShared(t *testing.T) {
	bpftest.StayOnCPU(t)
	before, dir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{})
	bpftest.Run(t, before.FromContainerTC, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999).Bytes())
	flows := programtest.Flows(t, dir)
	after, _ := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{Flows: flows})
	if got := original(t, after, 4000); got != 7999 {
		t.Errorf("the flow was not taken over: the reply comes from %d", got)
	}
	larger, _ := programtest.Pinned(t, programtest.FlowPorts(2048), datapath.Shared{Flows: flows})
	if got := original(t, larger, 4000); got != 7998 {
		t.Errorf("flows were taken over from a table of another size: the reply comes from %d", got)
	}
}

// TestFlowsOfAnotherHash has a ruleset take the place of one of another build, which
// may find its flows by another hash: they are copied, not shared.
func TestFlowsOfAnotherHash(t *testing.T) {
	bpftest.StayOnCPU(t)
	before, beforeDir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{})
	bpftest.Run(t, before.FromContainerTC, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999).Bytes())
	flows := programtest.Flows(t, beforeDir)
	element, err := flow.SeedElement(flows)
	if err != nil {
		t.Fatal(err)
	}
	element.Tag[2]++
	if err := flows.Put(flow.SeedIndex(flows), &element); err != nil {
		t.Fatal(err)
	}
	after, dir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{Flows: flows})
	bpftest.Run(t, after.FromContainerTC, bpftest.UDP(bpftest.Inside, 4001, bpftest.Outside, 7999).Bytes())
	if got := original(t, after, 4000); got != 7998 {
		t.Errorf("the table of another build is shared: the reply comes from %d", got)
	}
	if err := flow.Copy(flows, programtest.Flows(t, dir), bpftest.Loopback); err != nil {
		t.Error(err)
	}
	if got := original(t, after, 4000); got != 7999 {
		t.Errorf("the flow was not copied: the reply comes from %d", got)
	}
	// Nor does this build know where those programs would look for a flow.
	if err := flow.Copy(programtest.Flows(t, dir), programtest.Flows(t, beforeDir), bpftest.Loopback); err != nil {
		t.Error(err)
	}
	if found, err := flow.Read(programtest.Flows(t, beforeDir), bpftest.Loopback); len(found) != 1 || err != nil {
		t.Errorf("%d flows, %v: some were put where another build does not find them", len(found), err)
	}
}

// TestFlowsOfAnotherBuild has a ruleset take the place of one whose flows are in a
// map of another kind, as builds before the table had it: that does not fail.
func TestFlowsOfAnotherBuild(t *testing.T) {
	bpftest.StayOnCPU(t)
	before := datapath.Dir(bpftest.BPFFS(t))
	flows, err := ebpf.NewMap(&ebpf.MapSpec{Name: bpf.ProgramsMapFlows, Type: ebpf.LRUHash, KeySize: 16, ValueSize: 40, MaxEntries: 1024})
	if err != nil {
		t.Fatal(err)
	}
	defer flows.Close()
	if err := flows.Pin(filepath.Join(string(before), bpf.ProgramsMapFlows)); err != nil {
		t.Fatal(err)
	}
	after, dir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{Flows: flows})
	bpftest.Run(t, after.FromContainerTC, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999).Bytes())
	if err := flow.Copy(flows, programtest.Flows(t, dir), bpftest.Loopback); err != nil {
		t.Error(err)
	}
	if got := original(t, after, 4000); got != 7999 {
		t.Errorf("the reply comes from %d", got)
	}
	if _, err := flow.Read(programtest.Flows(t, before), bpftest.Loopback); !errors.Is(err, flow.ErrOtherBuild) {
		t.Errorf("flows of another build were read: %v", err)
	}
}
