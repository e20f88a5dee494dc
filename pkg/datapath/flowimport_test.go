package datapath

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// TestFlowsAreCopied copies the flows of one device to a ruleset that has some of
// its own.
func TestFlowsAreCopied(t *testing.T) {
	stayOnCPU(t)
	// So many more are remembered that no bucket is ever full.
	from, fromDir := pinned(t, flowPorts(16384), Shared{})
	to, toDir := pinned(t, flowPorts(32768), Shared{})
	const count = 200
	for port := uint16(1000); port < 1000+count; port++ {
		run(t, from.FromContainerTC, udp(inside, port, outside, 7999).Bytes())
	}
	run(t, to.FromContainerTC, udp(inside, 1000, outside, 7997).Bytes())

	flows := openedFlows(t, fromDir)
	if err := errors.Join(CopyFlows(flows, toDir, loopback+1), CopyFlows(flows, fromDir, loopback)); err != nil {
		t.Fatal(err)
	}
	if got := original(t, to, 1001); got != 7998 {
		t.Errorf("a flow of another device was copied: the reply comes from %d", got)
	}
	if err := CopyFlows(flows, toDir, loopback); err != nil {
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
	if copied, err := ReadFlows(toDir, loopback); len(copied) != count || err != nil {
		t.Errorf("%d flows, %v", len(copied), err)
	}
}

// TestExpiredFlowsStay has a flow that has expired not be copied, where it would take the
// place of another container's.
func TestExpiredFlowsStay(t *testing.T) {
	stayOnCPU(t)
	from, fromDir := pinned(t, flowPorts(1), Shared{})
	_, toDir := pinned(t, flowPorts(1), Shared{})
	source, target := openedFlows(t, fromDir), openedFlows(t, toDir)
	now, tick, err := jiffies()
	if err != nil {
		t.Fatal(err)
	}
	sent(t, from, udp(inside, 4000, outside, 7999))
	var expired, full, after programsFlowBucket
	if err := source.Lookup(uint32(0), &expired); err != nil {
		t.Fatal(err)
	}
	for slot := range full.Tag {
		expired.Used[slot] -= uint32(time.Hour / tick)
		full.Tag[slot], full.Used[slot], full.Owner[slot] = uint32(slot)<<1|1, now, loopback+1
		full.Flow[slot].Key.Ifindex = loopback + 1
	}
	err = errors.Join(source.Put(uint32(0), &expired), target.Put(uint32(0), &full),
		CopyFlows(source, toDir, loopback), target.Lookup(uint32(0), &after))
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
	stayOnCPU(t)
	before, dir := pinned(t, flowPorts(1024), Shared{})
	run(t, before.FromContainerTC, udp(inside, 4000, outside, 7999).Bytes())
	flows := openedFlows(t, dir)
	after, _ := pinned(t, flowPorts(1024), Shared{Flows: flows})
	if got := original(t, after, 4000); got != 7999 {
		t.Errorf("the flow was not taken over: the reply comes from %d", got)
	}
	larger, _ := pinned(t, flowPorts(2048), Shared{Flows: flows})
	if got := original(t, larger, 4000); got != 7998 {
		t.Errorf("flows were taken over from a table of another size: the reply comes from %d", got)
	}
}

// TestFlowsOfAnotherHash has a ruleset take the place of one of another build, which
// may find its flows by another hash: they are copied, not shared.
func TestFlowsOfAnotherHash(t *testing.T) {
	stayOnCPU(t)
	before, beforeDir := pinned(t, flowPorts(1024), Shared{})
	run(t, before.FromContainerTC, udp(inside, 4000, outside, 7999).Bytes())
	flows := openedFlows(t, beforeDir)
	element, err := seedElement(flows)
	if err != nil {
		t.Fatal(err)
	}
	element.Tag[2]++
	if err := flows.Put(seedIndex(flows), &element); err != nil {
		t.Fatal(err)
	}
	after, dir := pinned(t, flowPorts(1024), Shared{Flows: flows})
	run(t, after.FromContainerTC, udp(inside, 4001, outside, 7999).Bytes())
	if got := original(t, after, 4000); got != 7998 {
		t.Errorf("the table of another build is shared: the reply comes from %d", got)
	}
	if err := CopyFlows(flows, dir, loopback); err != nil {
		t.Error(err)
	}
	if got := original(t, after, 4000); got != 7999 {
		t.Errorf("the flow was not copied: the reply comes from %d", got)
	}
	// Nor does this build know where those programs would look for a flow.
	if err := CopyFlows(openedFlows(t, dir), beforeDir, loopback); err != nil {
		t.Error(err)
	}
	if found, err := ReadFlows(beforeDir, loopback); len(found) != 1 || err != nil {
		t.Errorf("%d flows, %v: some were put where another build does not find them", len(found), err)
	}
}

// TestFlowsOfAnotherBuild has a ruleset take the place of one whose flows are in a
// map of another kind, as builds before the table had it: that does not fail.
func TestFlowsOfAnotherBuild(t *testing.T) {
	stayOnCPU(t)
	before := bpffs(t)
	flows, err := ebpf.NewMap(&ebpf.MapSpec{Name: programsMapFlows, Type: ebpf.LRUHash, KeySize: 16, ValueSize: 40, MaxEntries: 1024})
	if err != nil {
		t.Fatal(err)
	}
	defer flows.Close()
	if err := flows.Pin(filepath.Join(before, programsMapFlows)); err != nil {
		t.Fatal(err)
	}
	after, dir := pinned(t, flowPorts(1024), Shared{Flows: flows})
	run(t, after.FromContainerTC, udp(inside, 4000, outside, 7999).Bytes())
	if err := CopyFlows(flows, dir, loopback); err != nil {
		t.Error(err)
	}
	if got := original(t, after, 4000); got != 7999 {
		t.Errorf("the reply comes from %d", got)
	}
	if _, err := ReadFlows(before, loopback); !errors.Is(err, errOtherBuild) {
		t.Errorf("flows of another build were read: %v", err)
	}
}
