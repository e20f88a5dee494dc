package flow_test

import (
	"errors"
	"math/bits"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/test/packet"
)

// The parts of a bucket's version, as enum bucket_version of bpf/types.h has them.
const (
	aliasBits   = 0xff
	writing     = 0x100
	versionStep = 0x100
)

// changeBucket reads the first bucket, and writes it as changed.
func changeBucket(t *testing.T, flows *ebpf.Map, change func(bucket *bpf.ProgramsFlowBucket)) {
	t.Helper()
	var bucket bpf.ProgramsFlowBucket
	if err := flows.Lookup(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
	change(&bucket)
	if err := flows.Put(uint32(0), &bucket); err != nil {
		t.Fatal(err)
	}
}

// evictFrom frees the slot of the flow with this source port on the wire.
func evictFrom(t *testing.T, flows *ebpf.Map, port uint16) {
	t.Helper()
	changeBucket(t, flows, func(bucket *bpf.ProgramsFlowBucket) {
		for slot := range bucket.Tag {
			if bpf.PortsOf(bucket.Flow[slot].Key.Ports).Source == port {
				bucket.Tag[slot] = 0
			}
		}
		bucket.Version += 2 * versionStep
	})
}

// movedPair has two connections want the same ports, and returns the first packet of
// the second one, and the source port that it got instead.
func movedPair(t *testing.T, p *datapath.Programs) (second packet.Packet, moved uint16) {
	t.Helper()
	programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999))
	second = bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997)
	if moved = bpftest.MovedTo(t, programtest.Sent(t, p, second)); moved == 4000 {
		t.Fatal("two connections have the same ports")
	}
	return second, moved
}

// TestAliasAfterVersionWraps has the version of a bucket wrap around: the filter beside
// it stays as it is, and a translated connection without a flow gets its port back.
func TestAliasAfterVersionWraps(t *testing.T) {
	bpftest.StayOnCPU(t)
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	flows := programtest.Flows(t, dir)
	second, moved := movedPair(t, p)
	var filter uint32
	changeBucket(t, flows, func(bucket *bpf.ProgramsFlowBucket) {
		filter = bucket.Version & aliasBits
		bucket.Version |= 0xfffffe00 // not during a write
	})
	if bits.OnesCount32(filter) != 1 {
		t.Errorf("the filter is %#x after one alias", filter)
	}
	for i := range uint16(4) {
		programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 5000+i, bpftest.Outside, 7999))
		changeBucket(t, flows, func(bucket *bpf.ProgramsFlowBucket) {
			if got := bucket.Version; got&aliasBits != filter || got&writing != 0 {
				t.Errorf("flow %d: the version is %#x, the filter was %#x", i, got, filter)
			}
		})
	}
	evictFrom(t, flows, moved)
	if got := bpftest.MovedTo(t, programtest.Sent(t, p, second)); got != moved {
		t.Errorf("the connection on port %d goes on from %d", moved, got)
	}
}

// TestAliasIsImported copies an alias without its flow to a table of another ruleset,
// from a table without filters, as a build before those left it.
func TestAliasIsImported(t *testing.T) {
	bpftest.StayOnCPU(t)
	before, beforeDir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	after, afterDir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{})
	flows := programtest.Flows(t, beforeDir)
	second, moved := movedPair(t, before)
	evictFrom(t, flows, moved)
	changeBucket(t, flows, func(bucket *bpf.ProgramsFlowBucket) { bucket.Version &^= aliasBits })
	if err := flow.Copy(flows, programtest.Flows(t, afterDir), bpftest.Loopback); err != nil {
		t.Fatal(err)
	}
	if got := bpftest.MovedTo(t, programtest.Sent(t, after, second)); got != moved {
		t.Errorf("the connection on port %d goes on from %d", moved, got)
	}
}

// TestFreeSlots adds a flow to a bucket with each set of free slots: it takes one of
// these.
func TestFreeSlots(t *testing.T) {
	bpftest.StayOnCPU(t)
	p, dir := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
	flows := programtest.Flows(t, dir)
	for taken := range 1 << len(bpf.ProgramsFlowBucket{}.Tag) {
		var before, after bpf.ProgramsFlowBucket
		for slot := range before.Tag {
			if taken>>slot&1 == 1 {
				before.Tag[slot] = uint32(slot)<<1 | 1
			}
		}
		err := flows.Put(uint32(0), &before)
		programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, uint16(1024+taken), bpftest.Outside, 7999))
		if err = errors.Join(err, flows.Lookup(uint32(0), &after)); err != nil {
			t.Fatal(err)
		}
		filled := slotsWhere(&after, func(slot int) bool { return after.Tag[slot] != before.Tag[slot] })
		if isFull := taken == 0xff; len(filled) != 1 || before.Tag[filled[0]] != 0 != isFull {
			t.Errorf("of a bucket with the slots %08b taken, %d were filled", taken, filled)
		}
	}
}
