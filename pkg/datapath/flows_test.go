package datapath

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// TestFlowsOfOneDigest makes two flows whose keys are the same (bpf/flows.h): the
// newer one takes the other's place, but no packet is taken for the other's.
func TestFlowsOfOneDigest(t *testing.T) {
	stayOnCPU(t)
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	programs, dir := pinned(t, &Ruleset{Mode: TC, Flows: 1024, Rules: []rules.Rule{
		{Name: "a", Protocol: rules.UDP, Ports: port(7999), To: port(7998)},
		{Name: "b", Protocol: rules.UDP, Ports: port(7997), To: port(7998)},
	}}, Shared{})
	containerA, peerA := netip.MustParseAddr("fd00:88::2"), netip.MustParseAddr("fd00:99::2")
	const containerFactor, peerFactor = 0xbf58476d1ce4e5b9, 0xd6e8feb86659fd93
	containerB := plus(containerA, peerFactor)
	peerB := plus(peerA, 1<<64-containerFactor)

	want := func(program *ebpf.Program, p, after packet.Packet) {
		t.Helper()
		if _, got := run(t, program, p.Bytes()); !bytes.Equal(got, after.Bytes()) {
			t.Errorf("%s made %x of %x, should be %x", program, got, p.Bytes(), after.Bytes())
		}
	}
	sends, receives := programs.FromContainerTC, programs.ToContainer
	want(sends, udp(containerA, 4000, peerA, 7999), udp(containerA, 4000, peerA, 7998))
	want(sends, udp(containerB, 4000, peerB, 7997), udp(containerB, 4000, peerB, 7998))
	if flows, err := ReadFlows(dir, loopback); len(flows) != 1 || err != nil {
		t.Fatalf("the flows do not share a key: %+v, %v", flows, err)
	}
	replyA, replyB := udp(peerA, 7998, containerA, 4000), udp(peerB, 7998, containerB, 4000)
	want(receives, replyA, replyA)
	want(receives, replyB, udp(peerB, 7997, containerB, 4000))
	// A packet of A to the new port itself is not B's either.
	want(sends, udp(containerA, 4000, peerA, 7998), udp(containerA, 4000, peerA, 7998))
	want(receives, replyB, udp(peerB, 7997, containerB, 4000))
	want(sends, udp(containerA, 4000, peerA, 7999), udp(containerA, 4000, peerA, 7998))
	want(receives, replyA, udp(peerA, 7999, containerA, 4000))
	want(receives, replyB, replyB)
	if counters, err := programs.Counters(loopback); err != nil || counters.FlowConflicts != 0 {
		t.Errorf("%+v, %v: no pair of sockets used two ports", counters, err)
	}
}

// plus adds to the lower half of an address, as the programs load it.
func plus(addr netip.Addr, summand uint64) netip.Addr {
	address := addr.As16()
	low := binary.NativeEndian.Uint64(address[8:])
	binary.NativeEndian.PutUint64(address[8:], low+summand)
	return netip.AddrFrom16(address)
}
