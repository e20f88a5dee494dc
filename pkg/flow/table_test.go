package flow_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
)

// TestFlowsOfOneDigest makes two flows whose hashes are the same (bpf/flow_id.h): the
// newer one gets another source port, and no packet is taken for the other's.
func TestFlowsOfOneDigest(t *testing.T) {
	bpftest.StayOnCPU(t)
	programs, dir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{})
	containerA, peerA := netip.MustParseAddr("fd00:88::2"), netip.MustParseAddr("fd00:99::2")
	containerB := plus(containerA, peerFactor)
	peerB := plus(peerA, 1<<64-containerFactor)

	askA, askB := bpftest.UDP(containerA, 4000, peerA, 7999), bpftest.UDP(containerB, 4000, peerB, 7997)
	programtest.Want(t, "A", programtest.Sent(t, programs, askA), bpftest.UDP(containerA, 4000, peerA, 7998))
	moved := bpftest.MovedTo(t, programtest.Sent(t, programs, askB))
	if flows, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback); len(flows) != 2 || moved == 4000 || err != nil {
		t.Fatalf("B's source port is %d; %+v, %v", moved, flows, err)
	}
	replyA, replyB := bpftest.UDP(peerA, 7998, containerA, 4000), bpftest.UDP(peerB, 7998, containerB, moved)
	for range 2 {
		programtest.Want(t, "reply to A", programtest.Received(t, programs, replyA), bpftest.UDP(peerA, 7999, containerA, 4000))
		programtest.Want(t, "reply to B", programtest.Received(t, programs, replyB), bpftest.UDP(peerB, 7997, containerB, 4000))
		programtest.Want(t, "A again", programtest.Sent(t, programs, askA), bpftest.UDP(containerA, 4000, peerA, 7998))
		programtest.Want(t, "B again", programtest.Sent(t, programs, askB), bpftest.UDP(containerB, moved, peerB, 7998))
	}
	other := bpftest.UDP(peerB, 7998, containerB, 4000)
	programtest.Want(t, "no reply to either", programtest.Received(t, programs, other), other)
}

// What the programs multiply the lower halves of the addresses by.
const containerFactor, peerFactor = 0xbf58476d1ce4e5b9, 0xd6e8feb86659fd93

// plus adds to the lower half of an address, as the programs load and fold it.
func plus(addr netip.Addr, summand uint64) netip.Addr {
	address := addr.As16()
	binary.NativeEndian.PutUint64(address[8:], fold(folded(addr)+summand))
	return netip.AddrFrom16(address)
}

// folded returns the lower half of an address as the programs load and fold it.
func folded(addr netip.Addr) uint64 {
	address := addr.As16()
	return fold(binary.NativeEndian.Uint64(address[8:]))
}

// fold is its own inverse.
func fold(word uint64) uint64 { return word ^ word>>32 }

// TestFlowsOfChosenPeers has a container that knows of a flow, and of all that the
// hash is made of but the seed, choose a peer whose address differs by what the
// ports make up for, if one bit of the seed is 0 or if it is 1. The flows have
// places of their own all the same.
func TestFlowsOfChosenPeers(t *testing.T) {
	bpftest.StayOnCPU(t)
	const upperContainer, upperPeer = 0x9e3779b97f4a7c15, 0x94d049bb133111eb
	peerInverse := uint64(1) // modulo 1<<64, by Newton
	for range 6 {
		peerInverse *= 2 - peerFactor*peerInverse
	}
	container, peer := netip.MustParseAddr("fd00:88::2"), netip.MustParseAddr("fd00:99::2")
	upper := func(addr netip.Addr) uint64 {
		address := addr.As16()
		return fold(binary.NativeEndian.Uint64(address[:8]))
	}
	sum := upper(container)*upperContainer + folded(container)*containerFactor +
		upper(peer)*upperPeer + folded(peer)*peerFactor
	const portBit = 1 << 16
	chosen := plus(peer, ((sum^portBit)-sum)*peerInverse)

	p, dir := programtest.Pinned(t, programtest.FlowPorts(1024), datapath.Shared{})
	for _, peer := range []netip.Addr{peer, chosen} {
		for _, port := range []uint16{bpftest.FromNetwork(4000), bpftest.FromNetwork(4001)} {
			bpftest.Run(t, p.FromContainerTC, bpftest.UDP(container, port, peer, 7999).Bytes())
		}
	}
	if flows, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback); len(flows) != 4 || err != nil {
		t.Errorf("%d flows of 4 have a place of their own, %v: %+v", len(flows), err, flows)
	}
}

// original returns the port that the reply to a socket in the container comes
// from: the one asked, or 7998 if the flow is not known.
func original(t *testing.T, p *datapath.Programs, port uint16) uint16 {
	t.Helper()
	_, reply := bpftest.Run(t, p.ToContainer, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, port).Bytes())
	return binary.BigEndian.Uint16(reply[34:])
}

// TestFlowsMakeRoom has many more flows than are kept. As many as are to be
// kept are, but for those that found no room in their bucket. The newest
// always are, and so is one that is in use all the while.
func TestFlowsMakeRoom(t *testing.T) {
	bpftest.StayOnCPU(t)
	const kept, used, first = 1024, 1000, 1001
	p, dir := programtest.Pinned(t, programtest.FlowPorts(kept), datapath.Shared{})
	begin := func(port int) {
		bpftest.Run(t, p.FromContainerTC, bpftest.UDP(bpftest.Inside, uint16(port), bpftest.Outside, 7999).Bytes())
	}
	begin(used)
	// use has the flow be the one that was used last, by the clock of flows.
	use := func(flows int) {
		t.Helper()
		bpftest.LetJiffyPass(t)
		if got := original(t, p, used); got != 7999 {
			t.Fatalf("after %d flows, the one in use is not known any more", flows)
		}
	}
	known := func(last int) (count int) {
		for port := last - kept + 1; port <= last; port++ {
			if original(t, p, uint16(port)) == 7999 {
				count++
			}
		}
		return count
	}
	for port := first; port < first+20*kept; port++ {
		begin(port)
		if got := original(t, p, uint16(port)); got != 7999 {
			t.Fatalf("the flow that began last is not known: its reply comes from port %d", got)
		}
		if port == first+kept-1 {
			if got := known(port); got < kept*95/100 {
				t.Errorf("only %d of the first %d flows are known", got, kept)
			}
			use(port - first) // for asking used all the others
		}
		if port%64 == 0 {
			use(port - first)
		}
	}
	if got := known(first + 20*kept - 1); got < kept*90/100 {
		t.Errorf("only %d of the last %d flows are known", got, kept)
	}
	if flows, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback); err != nil || len(flows) != 2*kept {
		t.Errorf("%d flows, %v: the table, which has room for %d, is not full", len(flows), err, 2*kept)
	}
}

// TestFlowsOfLikeAddresses has flows to peers whose addresses differ in few bits of
// two bytes, one in the prefix and one in the interface identifier, say: they find
// room all the same.
func TestFlowsOfLikeAddresses(t *testing.T) {
	bpftest.StayOnCPU(t)
	const kept, values = 1024, 32
	container := netip.MustParseAddr("fd00:88::2")
	for _, differs := range [][2]int{{7, 15}, {6, 14}, {3, 15}, {1, 9}, {7, 11}, {14, 15}} {
		p, dir := programtest.Pinned(t, programtest.FlowPorts(kept), datapath.Shared{})
		for i := range kept {
			peer := netip.MustParseAddr("fd00:99::1").As16()
			peer[differs[0]] ^= byte(i % values)
			peer[differs[1]] ^= byte(i / values)
			bpftest.Run(t, p.FromContainerTC, bpftest.UDP(container, 4000, netip.AddrFrom16(peer), 7999).Bytes())
		}
		if flows, err := flow.Read(programtest.Flows(t, dir), bpftest.Loopback); err != nil || len(flows) < kept*95/100 {
			t.Errorf("%d of %d flows, %v, to peers that differ in bytes %d", len(flows), kept, err, differs)
		}
	}
}

// TestFlowsChangeWhileRead has one CPU fill a bucket with the flows of others
// again and again, while the other one looks its own flow up: that is not there,
// or it is right. Else the pair of sockets would seem to use two ports.
func TestFlowsChangeWhileRead(t *testing.T) {
	for _, inOrder := range []bool{true, false} {
		if inOrder && runtime.GOARCH != "amd64" {
			continue
		}
		t.Run(fmt.Sprintf("loads in order %v", inOrder), func(t *testing.T) {
			defer func(before bool) { *flow.LoadsInOrder = before }(*flow.LoadsInOrder)
			*flow.LoadsInOrder = inOrder
			p, _ := programtest.Pinned(t, programtest.FlowPorts(1), datapath.Shared{})
			ask := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999)
			caller := bpftest.Repeatable(t, p.FromContainerTC, ask)
			var group sync.WaitGroup
			defer group.Wait()
			stop := make(chan struct{})
			defer close(stop)
			group.Go(func() { flood(t, p, stop) })

			for range 1000 { // in short runs, for a busy machine
				if _, err := caller.Run(&ebpf.RunOptions{Data: ask.Bytes(), Repeat: 2000}); err != nil {
					t.Fatal(err)
				}
			}
			if counters, err := p.Counters(bpftest.Loopback); err != nil || counters.PortsMoved != 0 {
				t.Errorf("%+v, %v: no pair of sockets used two ports", counters, err)
			}
		})
	}
}

// flood begins flows of other containers that have the same ports, but another
// original one.
func flood(t *testing.T, p *datapath.Programs, stop <-chan struct{}) {
	var packets [][]byte
	other := bpftest.Inside
	for range 16 {
		other = other.Next()
		packets = append(packets, bpftest.UDP(other, 4000, bpftest.Outside, 7997).Bytes())
	}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		if _, err := p.FromContainerTC.Run(&ebpf.RunOptions{Data: packets[i%len(packets)], Repeat: 1}); err != nil {
			t.Error(err)
			return
		}
	}
}
