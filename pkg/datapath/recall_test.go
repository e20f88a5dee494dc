package datapath_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// isKnown reports whether a packet like this has a cached decision, by the ports that it
// comes with.
func isKnown(t *testing.T, dir datapath.Dir, source, destination uint16) bool {
	t.Helper()
	packets, err := pin.OpenMap(string(dir), bpf.ProgramsMapCachedDecisions)
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	ports := uint32(bpftest.FromNetwork(destination))<<16 | uint32(bpftest.FromNetwork(source))
	var key uint32
	var known bpf.ProgramsCachedDecision
	for entries := packets.Iterate(); entries.Next(&key, &known); {
		if known.Ifindex == bpftest.Loopback && known.Ports == ports {
			return true
		}
	}
	return false
}

// TestCachedDecisionOfEvictedFlow has other packets push out the flow of a packet and
// a reply that are known.
func TestCachedDecisionOfEvictedFlow(t *testing.T) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(1)
		rs.Mode = mode
		p, dir := programtest.Pinned(t, rs, datapath.Shared{})
		ask, asked := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999), bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998)
		reply, restored := bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 4000)
		for range 3 {
			programtest.Want(t, "forward", programtest.Sent(t, p, ask), asked)
			programtest.Want(t, "reply", programtest.Received(t, p, reply), restored)
		}
		if !isKnown(t, dir, 4000, 7999) || !isKnown(t, dir, 7998, 4000) {
			t.Error("the packets are not known")
		}
		for round := range 3 {
			bpftest.LetJiffyPass(t)
			for other := range uint16(len(bpf.ProgramsFlowBucket{}.Flow)) {
				// Answered, since others would make room first.
				programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 5000+other, bpftest.Outside, 7999))
				programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 5000+other))
			}
			programtest.Want(t, fmt.Sprintf("reply without a flow, round %d", round), programtest.Received(t, p, reply), reply)
			programtest.Want(t, "forward, known", programtest.Sent(t, p, ask), asked)
			programtest.Want(t, "reply, as the flow is back", programtest.Received(t, p, reply), restored)
		}
	})
}

// TestCachedDecisionsOfOneSocket has one socket use all ports that become the same one,
// and that one directly, in turns: the first keeps its source port.
func TestCachedDecisionsOfOneSocket(t *testing.T) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(1024)
		rs.Mode = mode
		p, dir := programtest.Pinned(t, rs, datapath.Shared{})
		asked, source := []uint16{7999, 7997, 7998}, map[uint16]uint16{}
		for _, port := range asked {
			source[port] = bpftest.MovedTo(t, programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, port)))
		}
		if source[7999] != 4000 || source[7997] == 4000 || source[7998] == 4000 || source[7997] == source[7998] {
			t.Fatalf("the source ports are %v", source)
		}
		const rounds = 3
		for range rounds {
			for _, port := range asked {
				ask, reply := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, port), bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, source[port])
				for again := range 3 {
					programtest.Want(t, "forward", programtest.Sent(t, p, ask), bpftest.UDP(bpftest.Inside, source[port], bpftest.Outside, 7998))
					isForwardKnown := isKnown(t, dir, 4000, port) // others may get its place in the cache
					programtest.Want(t, "reply", programtest.Received(t, p, reply), bpftest.UDP(bpftest.Outside, port, bpftest.Inside, 4000))
					if again == 2 && (!isForwardKnown || !isKnown(t, dir, 7998, source[port])) {
						t.Errorf("the packets to port %d are not known", port)
					}
				}
			}
		}
		got, err := p.Counters(bpftest.Loopback)
		if err != nil {
			t.Fatal(err)
		}
		const each = 3 * rounds
		want := datapath.Counters{Rewritten: 3*each + 3, RepliesRestored: 3 * each, PortsMoved: 2, Rules: got.Rules}
		if fmt.Sprint(*got) != fmt.Sprint(want) || got.Rules[0].Packets != each+1 || got.Rules[1].Packets != each+1 {
			t.Errorf("counted %+v, should be %+v", *got, want)
		}
	})
}

// TestCachedDecisionOneWay has a rule whose replies are left alone use the ports of a
// flow: it has no part in that.
func TestCachedDecisionOneWay(t *testing.T) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(1024)
		rs.Mode = mode
		rs.Rules[1].OneWay = true
		p, _ := programtest.Pinned(t, rs, datapath.Shared{})
		after, reply := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998), bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000)
		programtest.Want(t, "one way", programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997)), after)
		programtest.Want(t, "reply to that", programtest.Received(t, p, reply), reply)
		for range 3 {
			programtest.Want(t, "forward", programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999)), after)
			programtest.Want(t, "reply", programtest.Received(t, p, reply), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 4000))
			programtest.Want(t, "one way", programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997)), after)
			programtest.Want(t, "reply", programtest.Received(t, p, reply), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 4000))
		}
	})
}

// TestCachedDecisionBecomesReply has a packet that a rule rewrites become a reply, as
// there is a flow of the other direction.
func TestCachedDecisionBecomesReply(t *testing.T) {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		p, _ := programtest.Pinned(t, &datapath.Ruleset{Mode: mode, Flows: 1024, Rules: []rules.Rule{
			{Name: "out", Protocol: rules.UDP, Ports: port(7999), To: port(7998)},
			{Name: "in", Direction: rules.Ingress, Protocol: rules.UDP, Ports: port(80), To: port(8080)},
		}}, datapath.Shared{})
		both := bpftest.UDP(bpftest.Inside, 8080, bpftest.Outside, 7999) // of either rule
		for range 3 {
			programtest.Want(t, "by the rule", programtest.Sent(t, p, both), bpftest.UDP(bpftest.Inside, 8080, bpftest.Outside, 7998))
		}
		programtest.Want(t, "in", programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 80)), bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 8080))
		for range 3 {
			programtest.Want(t, "as a reply", programtest.Sent(t, p, both), bpftest.UDP(bpftest.Inside, 80, bpftest.Outside, 7999))
		}
		direct := programtest.Received(t, p, bpftest.UDP(bpftest.Outside, 7999, bpftest.Inside, 8080))
		if bpftest.MovedTo(t, direct) == 7999 {
			t.Errorf("a direct packet has the ports of the flow: %x", direct)
		}
		for range 3 {
			programtest.Want(t, "as a reply still", programtest.Sent(t, p, both), bpftest.UDP(bpftest.Inside, 80, bpftest.Outside, 7999))
		}
	})
}

// TestCachedDecisionAfterRollback exchanges rules and goes back, by flows in
// common and by flows that are copied.
func TestCachedDecisionAfterRollback(t *testing.T) {
	for _, isShared := range []bool{true, false} {
		t.Run(fmt.Sprintf("flows in common %v", isShared), func(t *testing.T) {
			programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) { comeBack(t, mode, isShared) })
		})
	}
}

func comeBack(t *testing.T, mode datapath.Mode, isShared bool) {
	first := programtest.FlowPorts(1024)
	first.Mode = mode
	a, dirA := programtest.Pinned(t, first, datapath.Shared{})
	flowsA := programtest.Flows(t, dirA)
	var shared datapath.Shared
	if isShared {
		shared.Flows = flowsA
	}
	second := programtest.FlowPorts(1024)
	second.Mode = mode
	second.Rules = second.Rules[1:] // 7999 is left alone
	b, dirB := programtest.Pinned(t, second, shared)
	flowsB := programtest.Flows(t, dirB)
	exchange := func(flows *ebpf.Map, from, to datapath.Dir, p *datapath.Programs) {
		t.Helper()
		err := errors.Join(flow.Copy(flows, programtest.Flows(t, to), bpftest.Loopback), p.Activate(bpftest.Loopback), from.Deactivate(bpftest.Loopback))
		if err != nil {
			t.Fatal(err)
		}
	}
	reply := bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000)
	from := func(p *datapath.Programs) uint16 {
		t.Helper()
		return binary.BigEndian.Uint16(programtest.Received(t, p, reply)[34:])
	}
	if err := dirB.Deactivate(bpftest.Loopback); err != nil {
		t.Fatal(err)
	}
	ask := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999)
	for range 3 {
		programtest.Want(t, "A", programtest.Sent(t, a, ask), bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998))
		if got := from(a); got != 7999 {
			t.Fatalf("under A the reply comes from %d", got)
		}
	}
	exchange(flowsA, dirA, dirB, b)
	programtest.Want(t, "A, off", programtest.Sent(t, a, ask), ask)
	programtest.Want(t, "A's reply, off", programtest.Received(t, a, reply), reply)
	programtest.Want(t, "B leaves it alone", programtest.Sent(t, b, ask), ask)
	if got := from(b); got != 7999 {
		t.Errorf("the flow did not come to B: the reply comes from %d", got)
	}
	other := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7997)
	moved := bpftest.MovedTo(t, programtest.Sent(t, b, other))
	otherReply, otherRestored := bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, moved), bpftest.UDP(bpftest.Outside, 7997, bpftest.Inside, 4000)
	if moved == 4000 {
		t.Error("under B another connection has the ports of the flow")
	}
	programtest.Want(t, "B", programtest.Received(t, b, otherReply), otherRestored)
	exchange(flowsB, dirB, dirA, a)
	for range 2 {
		if got := from(a); got != 7999 {
			t.Errorf("under A again the reply comes from %d", got)
		}
		programtest.Want(t, "A again", programtest.Sent(t, a, ask), bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998))
		programtest.Want(t, "B's, under A", programtest.Received(t, a, otherReply), otherRestored)
		programtest.Want(t, "B's, under A", programtest.Sent(t, a, other), bpftest.UDP(bpftest.Inside, moved, bpftest.Outside, 7998))
	}
}

// TestCachedDecisionOffTheFastPath has packets of a known flow that are fragments, or
// whose lengths are wrong: they are not taken for what is known.
func TestCachedDecisionOffTheFastPath(t *testing.T) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(1024)
		rs.Mode = mode
		p, _ := programtest.Pinned(t, rs, datapath.Shared{})
		ask, after := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999), bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998)
		for range 3 {
			programtest.Want(t, "plain", programtest.Sent(t, p, ask), after)
		}
		const ip, udpHeader = 14, 34
		for name, damage := range map[string]func(frame []byte){
			"a later fragment":    func(f []byte) { f[ip+7] = 1 },
			"UDP length short":    func(f []byte) { f[udpHeader+5] = 7 },
			"UDP length too long": func(f []byte) { f[udpHeader+4] = 1 },
			"IP length too long":  func(f []byte) { f[ip+2] = 1 },
			"another protocol":    func(f []byte) { f[ip+9] = 132 },
			"another version":     func(f []byte) { f[ip] = 0x55 },
			"another ethertype":   func(f []byte) { f[12] = 0x88 },
		} {
			frame := ask.Bytes()
			damage(frame)
			out := programtest.SentFrame(t, p, frame)
			if !bytes.Equal(out, frame) {
				t.Errorf("%s: became\n%x of\n%x", name, out, frame)
			}
		}
		programtest.Want(t, "plain", programtest.Sent(t, p, ask), after)
	})
}

// fastForms are the kinds of packets that the fast path reads, with the offsets of their
// IP and UDP headers.
var fastForms = map[string]struct {
	inside, outside netip.Addr
	tags            []packet.Tag
	ip, udp         int
}{
	"IPv4":              {bpftest.Inside, bpftest.Outside, nil, 14, 34},
	"IPv6":              {insideV6, outsideV6, nil, 14, 54},
	"IPv4 behind a tag": {bpftest.Inside, bpftest.Outside, []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 7}}, 18, 38},
	"IPv6 behind a tag": {insideV6, outsideV6, []packet.Tag{{EtherType: packet.EtherTypeProvider, ID: 7}}, 18, 58},
}

var insideV6, outsideV6 = netip.MustParseAddr("fd00:88::2"), netip.MustParseAddr("fd00:99::2")

// TestFastPathForms sends packets of each kind again and again: the decision is cached,
// and never applied to a packet that differs in what the cache or the parser looks at.
func TestFastPathForms(t *testing.T) {
	for name, form := range fastForms {
		t.Run(name, func(t *testing.T) {
			programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
				rs := programtest.FlowPorts(1024)
				rs.Mode = mode
				p, dir := programtest.Pinned(t, rs, datapath.Shared{})
				between := func(source netip.Addr, from uint16, destination netip.Addr, to uint16) packet.Packet {
					of := bpftest.UDP(source, from, destination, to)
					of.Tags = form.tags
					return of
				}
				ask, asked := between(form.inside, 4000, form.outside, 7999), between(form.inside, 4000, form.outside, 7998)
				reply, restored := between(form.outside, 7998, form.inside, 4000), between(form.outside, 7999, form.inside, 4000)
				for range 3 {
					programtest.Want(t, "forward", programtest.Sent(t, p, ask), asked)
					programtest.Want(t, "reply", programtest.Received(t, p, reply), restored)
				}
				if !isKnown(t, dir, 4000, 7999) || !isKnown(t, dir, 7998, 4000) {
					t.Error("the decisions are not cached")
				}
				for at := form.ip; at < form.udp; at++ {
					// Any other address is another peer's, without a flow to reply to.
					frame := reply.Bytes()
					frame[at] ^= 0x11
					_, out := bpftest.Run(t, p.ToContainer, frame)
					if isOfReply := bytes.Equal(out[form.udp:form.udp+2], restored.Bytes()[form.udp:form.udp+2]); isOfReply && isIdentity(at-form.ip, form.inside) {
						t.Errorf("byte %d of the IP header does not matter", at-form.ip)
					}
				}
				programtest.Want(t, "reply", programtest.Received(t, p, reply), restored)
			})
		})
	}
}

// isIdentity reports whether the byte of the IP header is part of the version, the
// protocol or an address.
func isIdentity(at int, addr netip.Addr) bool {
	if addr.Is4() {
		return at == 0 || at == 9 || at >= 12
	}
	return at == 0 || at == 6 || at >= 8
}
