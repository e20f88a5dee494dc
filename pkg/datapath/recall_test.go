package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// sent returns what becomes of a packet that a container sends, at the hooks of
// the mode.
func sent(t *testing.T, p *Programs, of packet.Packet) []byte {
	t.Helper()
	return sentFrame(t, p, of.Bytes())
}

func sentFrame(t *testing.T, p *Programs, frame []byte) []byte {
	t.Helper()
	if p.FromContainerTC != nil {
		_, out := run(t, p.FromContainerTC, frame)
		return out
	}
	_, out := run(t, p.FromContainer, frame)
	_, out = run(t, p.FixUpChecksum, out)
	return out
}

// received returns what becomes of a packet that a container is sent.
func received(t *testing.T, p *Programs, of packet.Packet) []byte {
	t.Helper()
	_, out := run(t, p.ToContainer, of.Bytes())
	return out
}

func want(t *testing.T, what string, got []byte, after packet.Packet) {
	t.Helper()
	if !bytes.Equal(got, after.Bytes()) {
		t.Errorf("%s: became\n%x, should be\n%x", what, got, after.Bytes())
	}
}

// hooks runs a test in the modes that remember packets.
func hooks(t *testing.T, test func(t *testing.T, mode Mode)) {
	for _, mode := range []Mode{Generic, TC} {
		t.Run(mode.String(), func(t *testing.T) {
			if IsRealTime() {
				t.Skip("packets are not remembered on PREEMPT_RT")
			}
			stayOnCPU(t)
			test(t, mode)
		})
	}
}

// isKnown tells whether a packet like this is remembered, by the ports that it
// comes with.
func isKnown(t *testing.T, dir string, source, destination uint16) bool {
	t.Helper()
	packets, err := openPinnedMap(dir, programsMapCachedDecisions)
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	ports := uint32(fromNetwork(destination))<<16 | uint32(fromNetwork(source))
	var key uint32
	var known programsCachedDecision
	for entries := packets.Iterate(); entries.Next(&key, &known); {
		if known.Ifindex == loopback && known.Ports == ports {
			return true
		}
	}
	return false
}

// TestCachedDecisionOfEvictedFlow has other packets push out the flow of a packet and
// a reply that are known.
func TestCachedDecisionOfEvictedFlow(t *testing.T) {
	hooks(t, func(t *testing.T, mode Mode) {
		rs := flowPorts(1)
		rs.Mode = mode
		p, dir := pinned(t, rs, Shared{})
		ask, asked := udp(inside, 4000, outside, 7999), udp(inside, 4000, outside, 7998)
		reply, restored := udp(outside, 7998, inside, 4000), udp(outside, 7999, inside, 4000)
		for range 3 {
			want(t, "forward", sent(t, p, ask), asked)
			want(t, "reply", received(t, p, reply), restored)
		}
		if !isKnown(t, dir, 4000, 7999) || !isKnown(t, dir, 7998, 4000) {
			t.Error("the packets are not known")
		}
		for round := range 3 {
			letJiffyPass(t)
			for other := range uint16(len(programsFlowBucket{}.Flow)) {
				// Answered, since others would make room first.
				sent(t, p, udp(inside, 5000+other, outside, 7999))
				received(t, p, udp(outside, 7998, inside, 5000+other))
			}
			want(t, fmt.Sprintf("reply without a flow, round %d", round), received(t, p, reply), reply)
			want(t, "forward, known", sent(t, p, ask), asked)
			want(t, "reply, as the flow is back", received(t, p, reply), restored)
		}
	})
}

// TestCachedDecisionsOfOneSocket has one socket use all ports that become the same one,
// and that one directly, in turns: the first keeps its source port.
func TestCachedDecisionsOfOneSocket(t *testing.T) {
	hooks(t, func(t *testing.T, mode Mode) {
		rs := flowPorts(1024)
		rs.Mode = mode
		p, dir := pinned(t, rs, Shared{})
		asked, source := []uint16{7999, 7997, 7998}, map[uint16]uint16{}
		for _, port := range asked {
			source[port] = movedTo(t, sent(t, p, udp(inside, 4000, outside, port)))
		}
		if source[7999] != 4000 || source[7997] == 4000 || source[7998] == 4000 || source[7997] == source[7998] {
			t.Fatalf("the source ports are %v", source)
		}
		const rounds = 3
		for range rounds {
			for _, port := range asked {
				ask, reply := udp(inside, 4000, outside, port), udp(outside, 7998, inside, source[port])
				for again := range 3 {
					want(t, "forward", sent(t, p, ask), udp(inside, source[port], outside, 7998))
					isForwardKnown := isKnown(t, dir, 4000, port) // others may get its place in the cache
					want(t, "reply", received(t, p, reply), udp(outside, port, inside, 4000))
					if again == 2 && (!isForwardKnown || !isKnown(t, dir, 7998, source[port])) {
						t.Errorf("the packets to port %d are not known", port)
					}
				}
			}
		}
		got, err := p.Counters(loopback)
		if err != nil {
			t.Fatal(err)
		}
		const each = 3 * rounds
		want := Counters{Rewritten: 3*each + 3, RepliesRestored: 3 * each, PortsMoved: 2, Rules: got.Rules}
		if fmt.Sprint(*got) != fmt.Sprint(want) || got.Rules[0].Packets != each+1 || got.Rules[1].Packets != each+1 {
			t.Errorf("counted %+v, should be %+v", *got, want)
		}
	})
}

// TestCachedDecisionOneWay has a rule whose replies are left alone use the ports of a
// flow: it has no part in that.
func TestCachedDecisionOneWay(t *testing.T) {
	hooks(t, func(t *testing.T, mode Mode) {
		rs := flowPorts(1024)
		rs.Mode = mode
		rs.Rules[1].OneWay = true
		p, _ := pinned(t, rs, Shared{})
		after, reply := udp(inside, 4000, outside, 7998), udp(outside, 7998, inside, 4000)
		want(t, "one way", sent(t, p, udp(inside, 4000, outside, 7997)), after)
		want(t, "reply to that", received(t, p, reply), reply)
		for range 3 {
			want(t, "forward", sent(t, p, udp(inside, 4000, outside, 7999)), after)
			want(t, "reply", received(t, p, reply), udp(outside, 7999, inside, 4000))
			want(t, "one way", sent(t, p, udp(inside, 4000, outside, 7997)), after)
			want(t, "reply", received(t, p, reply), udp(outside, 7999, inside, 4000))
		}
	})
}

// TestCachedDecisionBecomesReply has a packet that a rule rewrites become a reply, as
// there is a flow of the other direction.
func TestCachedDecisionBecomesReply(t *testing.T) {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	hooks(t, func(t *testing.T, mode Mode) {
		p, _ := pinned(t, &Ruleset{Mode: mode, Flows: 1024, Rules: []rules.Rule{
			{Name: "out", Protocol: rules.UDP, Ports: port(7999), To: port(7998)},
			{Name: "in", Direction: rules.Ingress, Protocol: rules.UDP, Ports: port(80), To: port(8080)},
		}}, Shared{})
		both := udp(inside, 8080, outside, 7999) // of either rule
		for range 3 {
			want(t, "by the rule", sent(t, p, both), udp(inside, 8080, outside, 7998))
		}
		want(t, "in", received(t, p, udp(outside, 7999, inside, 80)), udp(outside, 7999, inside, 8080))
		for range 3 {
			want(t, "as a reply", sent(t, p, both), udp(inside, 80, outside, 7999))
		}
		direct := received(t, p, udp(outside, 7999, inside, 8080))
		if movedTo(t, direct) == 7999 {
			t.Errorf("a direct packet has the ports of the flow: %x", direct)
		}
		for range 3 {
			want(t, "as a reply still", sent(t, p, both), udp(inside, 80, outside, 7999))
		}
	})
}

// TestCachedDecisionAfterRollback exchanges rules and goes back, by flows in
// common and by flows that are copied.
func TestCachedDecisionAfterRollback(t *testing.T) {
	for _, isShared := range []bool{true, false} {
		t.Run(fmt.Sprintf("flows in common %v", isShared), func(t *testing.T) {
			hooks(t, func(t *testing.T, mode Mode) { comeBack(t, mode, isShared) })
		})
	}
}

func comeBack(t *testing.T, mode Mode, isShared bool) {
	first := flowPorts(1024)
	first.Mode = mode
	a, dirA := pinned(t, first, Shared{})
	flowsA := openedFlows(t, dirA)
	var shared Shared
	if isShared {
		shared.Flows = flowsA
	}
	second := flowPorts(1024)
	second.Mode = mode
	second.Rules = second.Rules[1:] // 7999 is left alone
	b, dirB := pinned(t, second, shared)
	flowsB := openedFlows(t, dirB)
	exchange := func(flows *ebpf.Map, from, to string, p *Programs) {
		t.Helper()
		err := errors.Join(CopyFlows(flows, to, loopback), p.Activate(loopback), Deactivate(from, loopback))
		if err != nil {
			t.Fatal(err)
		}
	}
	reply := udp(outside, 7998, inside, 4000)
	from := func(p *Programs) uint16 {
		t.Helper()
		return binary.BigEndian.Uint16(received(t, p, reply)[34:])
	}
	if err := Deactivate(dirB, loopback); err != nil {
		t.Fatal(err)
	}
	ask := udp(inside, 4000, outside, 7999)
	for range 3 {
		want(t, "A", sent(t, a, ask), udp(inside, 4000, outside, 7998))
		if got := from(a); got != 7999 {
			t.Fatalf("under A the reply comes from %d", got)
		}
	}
	exchange(flowsA, dirA, dirB, b)
	want(t, "A, off", sent(t, a, ask), ask)
	want(t, "A's reply, off", received(t, a, reply), reply)
	want(t, "B leaves it alone", sent(t, b, ask), ask)
	if got := from(b); got != 7999 {
		t.Errorf("the flow did not come to B: the reply comes from %d", got)
	}
	other := udp(inside, 4000, outside, 7997)
	moved := movedTo(t, sent(t, b, other))
	otherReply, otherRestored := udp(outside, 7998, inside, moved), udp(outside, 7997, inside, 4000)
	if moved == 4000 {
		t.Error("under B another connection has the ports of the flow")
	}
	want(t, "B", received(t, b, otherReply), otherRestored)
	exchange(flowsB, dirB, dirA, a)
	for range 2 {
		if got := from(a); got != 7999 {
			t.Errorf("under A again the reply comes from %d", got)
		}
		want(t, "A again", sent(t, a, ask), udp(inside, 4000, outside, 7998))
		want(t, "B's, under A", received(t, a, otherReply), otherRestored)
		want(t, "B's, under A", sent(t, a, other), udp(inside, moved, outside, 7998))
	}
}

// TestCachedDecisionOffTheFastPath has packets of a known flow that are fragments, or
// whose lengths are wrong: they are not taken for what is known.
func TestCachedDecisionOffTheFastPath(t *testing.T) {
	hooks(t, func(t *testing.T, mode Mode) {
		rs := flowPorts(1024)
		rs.Mode = mode
		p, _ := pinned(t, rs, Shared{})
		ask, after := udp(inside, 4000, outside, 7999), udp(inside, 4000, outside, 7998)
		for range 3 {
			want(t, "plain", sent(t, p, ask), after)
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
			out := sentFrame(t, p, frame)
			if !bytes.Equal(out, frame) {
				t.Errorf("%s: became\n%x of\n%x", name, out, frame)
			}
		}
		want(t, "plain", sent(t, p, ask), after)
	})
}

// fastForms are the kinds of packets that the fast path reads, with the offsets of their
// IP and UDP headers.
var fastForms = map[string]struct {
	inside, outside netip.Addr
	tags            []packet.Tag
	ip, udp         int
}{
	"IPv4":              {inside, outside, nil, 14, 34},
	"IPv6":              {insideV6, outsideV6, nil, 14, 54},
	"IPv4 behind a tag": {inside, outside, []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 7}}, 18, 38},
	"IPv6 behind a tag": {insideV6, outsideV6, []packet.Tag{{EtherType: packet.EtherTypeProvider, ID: 7}}, 18, 58},
}

var insideV6, outsideV6 = netip.MustParseAddr("fd00:88::2"), netip.MustParseAddr("fd00:99::2")

// TestFastPathForms sends packets of each kind again and again: the decision is cached,
// and never applied to a packet that differs in what the cache or the parser looks at.
func TestFastPathForms(t *testing.T) {
	for name, form := range fastForms {
		t.Run(name, func(t *testing.T) {
			hooks(t, func(t *testing.T, mode Mode) {
				rs := flowPorts(1024)
				rs.Mode = mode
				p, dir := pinned(t, rs, Shared{})
				between := func(source netip.Addr, from uint16, destination netip.Addr, to uint16) packet.Packet {
					of := udp(source, from, destination, to)
					of.Tags = form.tags
					return of
				}
				ask, asked := between(form.inside, 4000, form.outside, 7999), between(form.inside, 4000, form.outside, 7998)
				reply, restored := between(form.outside, 7998, form.inside, 4000), between(form.outside, 7999, form.inside, 4000)
				for range 3 {
					want(t, "forward", sent(t, p, ask), asked)
					want(t, "reply", received(t, p, reply), restored)
				}
				if !isKnown(t, dir, 4000, 7999) || !isKnown(t, dir, 7998, 4000) {
					t.Error("the decisions are not cached")
				}
				for at := form.ip; at < form.udp; at++ {
					// Any other address is another peer's, without a flow to reply to.
					frame := reply.Bytes()
					frame[at] ^= 0x11
					_, out := run(t, p.ToContainer, frame)
					if isOfReply := bytes.Equal(out[form.udp:form.udp+2], restored.Bytes()[form.udp:form.udp+2]); isOfReply && isIdentity(at-form.ip, form.inside) {
						t.Errorf("byte %d of the IP header does not matter", at-form.ip)
					}
				}
				want(t, "reply", received(t, p, reply), restored)
			})
		})
	}
}

// isIdentity tells whether the byte of the IP header is part of the version, the
// protocol or an address.
func isIdentity(at int, addr netip.Addr) bool {
	if addr.Is4() {
		return at == 0 || at == 9 || at >= 12
	}
	return at == 0 || at == 6 || at >= 8
}
