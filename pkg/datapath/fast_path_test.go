package datapath_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// fastPathRules are rules of each kind, for both protocols.
func fastPathRules() (all []rules.Rule) {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	peers := []netip.Prefix{netip.MustParsePrefix("10.99.0.0/24"), netip.MustParsePrefix("fd00:99::/64")}
	for _, protocol := range []rules.Protocol{rules.UDP, rules.TCP} {
		all = append(all, []rules.Rule{
			{Ports: port(7999), To: port(7998)},
			{Ports: port(7000), To: port(7001), OneWay: true},
			{Ports: port(25), Action: rules.Drop},
			{Ports: port(26), Action: rules.Drop, Peers: peers},
			{Ports: port(27), Action: rules.Drop, Peers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			{Ports: port(28), Action: rules.Pass},
			{Direction: rules.Ingress, Ports: port(80), To: port(8080)},
			{Direction: rules.Ingress, Ports: port(81), Action: rules.Drop, Peers: peers},
		}...)
		for i := range all {
			all[i].Name = fmt.Sprint("rule-", i)
			if all[i].Protocol == 0 {
				all[i].Protocol = protocol
			}
		}
	}
	return all
}

// twoPaths are two rulesets with the same rules: a listener keeps one of them off its
// fast path.
type twoPaths struct {
	fast, slow *datapath.Programs
	random     *rand.Rand
}

func newTwoPaths(t *testing.T, mode datapath.Mode, access func() *kernel.SKBAccess) twoPaths {
	t.Helper()
	rs := &datapath.Ruleset{Mode: mode, Flows: 1 << 17, Rules: fastPathRules()}
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	load := func() *datapath.Programs {
		p, err := datapath.LoadWith(rs, table, datapath.Shared{}, access)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		if err := p.Activate(bpftest.Loopback); err != nil {
			t.Fatal(err)
		}
		return p
	}
	both := twoPaths{fast: load(), slow: load(), random: rand.New(rand.NewPCG(1, 2))}
	const forever = 1 << 62 // the lease of a listener, in ns
	trace := make([]byte, both.slow.Maps()[bpf.MapTrace].ValueSize())
	binary.NativeEndian.PutUint64(trace, forever)
	if err := both.slow.Maps()[bpf.MapTrace].Put(uint32(0), trace); err != nil {
		t.Fatal(err)
	}
	return both
}

// send sends a frame through both rulesets and compares what they make of it.
func (p twoPaths) send(t *testing.T, what string, dir rules.Direction, frame []byte) {
	t.Helper()
	fast, isFastDropped := pass(t, p.fast, dir, frame)
	slow, isSlowDropped := pass(t, p.slow, dir, frame)
	if isFastDropped != isSlowDropped || !bytes.Equal(fast, slow) {
		t.Fatalf("%s: the paths disagree about the frame\n%x\nfast %x, dropped %v\nslow %x, dropped %v",
			what, frame, fast, isFastDropped, slow, isSlowDropped)
	}
}

// pass runs the programs of a direction on a frame.
func pass(t *testing.T, p *datapath.Programs, dir rules.Direction, frame []byte) (out []byte, isDropped bool) {
	t.Helper()
	const xdpDrop, tcxDrop = 1, 2
	if dir == rules.Egress && p.FromContainerTC == nil {
		verdict, out := bpftest.Run(t, p.FromContainer, frame)
		if verdict == xdpDrop {
			return out, true
		}
		verdict, out = bpftest.Run(t, p.FixUpChecksum, out)
		return out, verdict == tcxDrop
	}
	program := p.ToContainer
	if dir == rules.Egress {
		program = p.FromContainerTC
	}
	verdict, out := bpftest.Run(t, program, frame)
	return out, verdict == tcxDrop
}

func (p twoPaths) compareCounters(t *testing.T, what string) {
	t.Helper()
	fast, err := p.fast.Counters(bpftest.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	slow, err := p.slow.Counters(bpftest.Loopback)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fast, slow) {
		t.Fatalf("%s: the paths disagree about the counters\nfast %+v\nslow %+v", what, *fast, *slow)
	}
}

// compareFlows compares the states of all flows, which packets on the fast path must
// not need to change.
func (p twoPaths) compareFlows(t *testing.T) {
	t.Helper()
	states := func(p *datapath.Programs) map[flow.Flow]flow.State {
		flows, err := flow.Read(p.Maps()[bpf.ProgramsMapFlows], bpftest.Loopback)
		if err != nil {
			t.Fatal(err)
		}
		states := map[flow.Flow]flow.State{}
		for _, f := range flows {
			state := f.State
			f.State, f.Idle, f.IsExpired = "", 0, false
			states[f] = state
		}
		return states
	}
	fast, slow := states(p.fast), states(p.slow)
	for f, state := range slow {
		if got, isThere := fast[f]; !isThere || got != state {
			t.Errorf("the flow %+v is %v, there %v, should be %v", f, got, isThere, state)
		}
	}
	if len(fast) != len(slow) {
		t.Errorf("%d flows, should be %d", len(fast), len(slow))
	}
}

// fastPathEnds are a container and a peer of each kind of address. Mapped addresses are
// those of the first pair, in IPv6 packets.
var fastPathEnds = []struct {
	name            string
	inside, outside netip.Addr
}{
	{"IPv4", bpftest.Inside, bpftest.Outside},
	{"IPv6", insideV6, outsideV6},
	{"v4-mapped", netip.AddrFrom16(bpftest.Inside.As16()), netip.AddrFrom16(bpftest.Outside.As16())},
}

var fastPathTags = []struct {
	name string
	tags []packet.Tag
}{
	{"untagged", nil},
	{"tag", []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 7}}},
	{"priority tag", []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 3 << 13}}},
	{"provider tag", []packet.Tag{{EtherType: packet.EtherTypeProvider, ID: 7}}},
	{"two tags", []packet.Tag{{EtherType: packet.EtherTypeProvider, ID: 7}, {EtherType: packet.EtherTypeVLAN, ID: 8}}},
}

// fastPathLoads make the load of a packet. Three segments of TCP establish a flow,
// since all have the same sequence numbers.
var fastPathLoads = []struct {
	name string
	make func(from, to uint16) packet.Load
}{
	{"UDP", func(from, to uint16) packet.Load {
		return packet.UDP{Source: from, Destination: to, Payload: make([]byte, 24)}
	}},
	{"UDP without checksum", func(from, to uint16) packet.Load {
		return packet.UDP{Source: from, Destination: to, NoChecksum: true, Payload: make([]byte, 24)}
	}},
	{"TCP", func(from, to uint16) packet.Load {
		const ack = 0x10
		return packet.TCP{Source: from, Destination: to, Flags: ack, Payload: make([]byte, 24)}
	}},
}

// TestFastPathAgrees sends frames of all forms, and frames that differ from those in one
// respect, through a ruleset with a fast path and through one without.
func TestFastPathAgrees(t *testing.T) {
	bpftest.NeedRoot(t)
	t.Run("skb", func(t *testing.T) { fastPathAgrees(t, kernel.SKB) })
	t.Run("helper", func(t *testing.T) { fastPathAgrees(t, datapath.NoSKB) })
}

func fastPathAgrees(t *testing.T, access func() *kernel.SKBAccess) {
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		both := newTwoPaths(t, mode, access)
		for _, tags := range fastPathTags {
			for _, load := range fastPathLoads {
				for _, ends := range fastPathEnds {
					talk := fastPathTalk{inside: ends.inside, outside: ends.outside, tags: tags.tags, load: load.make}
					both.converse(t, fmt.Sprintf("%s, %s, %s", ends.name, tags.name, load.name), talk)
				}
			}
		}
		both.compareFlows(t)
	})
}

// fastPathTalk is a container and a peer, and how their packets look. All use the same
// ports, so that only the rest of a packet distinguishes its decision from others.
type fastPathTalk struct {
	inside, outside netip.Addr
	tags            []packet.Tag
	load            func(from, to uint16) packet.Load
}

const fastPathSource = 20000

func (c fastPathTalk) sent(from, to uint16) packet.Packet {
	return packet.Packet{Tags: c.tags, Source: c.inside, Destination: c.outside, Load: c.load(from, to)}
}

func (c fastPathTalk) received(from, to uint16) packet.Packet {
	return packet.Packet{Tags: c.tags, Source: c.outside, Destination: c.inside, Load: c.load(from, to)}
}

// converse has packets match each of fastPathRules.
func (p twoPaths) converse(t *testing.T, what string, c fastPathTalk) {
	t.Helper()
	exchange := func(source, asked, wire uint16) {
		p.repeat(t, what, rules.Egress, c.sent(source, asked), rules.Ingress, c.received(wire, source))
	}
	exchange(fastPathSource, 7999, 7998)
	exchange(fastPathSource+1, 7998, 7998) // with the same port it would get a random one
	for _, port := range []uint16{7000, 7001, 25, 26, 27, 28, 29} {
		exchange(fastPathSource, port, port)
	}
	p.repeat(t, what, rules.Ingress, c.received(fastPathSource, 80), rules.Egress, c.sent(8080, fastPathSource))
	p.repeat(t, what, rules.Ingress, c.received(fastPathSource, 81), rules.Egress, c.sent(81, fastPathSource))
}

// repeat sends a packet and its reply again and again, and damaged copies in between.
func (p twoPaths) repeat(t *testing.T, what string, there rules.Direction, ask packet.Packet, back rules.Direction, reply packet.Packet) {
	t.Helper()
	for range 3 {
		p.send(t, what, there, ask.Bytes())
		p.send(t, what, back, reply.Bytes())
	}
	const variantsOfEach = 16
	asks, replies := variants(ask), variants(reply)
	for range variantsOfEach {
		p.send(t, what, there, asks[p.random.IntN(len(asks))])
		p.send(t, what, there, ask.Bytes())
		p.send(t, what, back, replies[p.random.IntN(len(replies))])
		p.send(t, what, back, reply.Bytes())
	}
	p.compareCounters(t, what)
}

// variants returns frames that differ from the packet's in one respect: the length of
// the frame, or one number in its headers but the ports.
func variants(of packet.Packet) (frames [][]byte) {
	frame, network, transport := of.Bytes(), of.NetworkOffset(), of.TransportOffset()
	for n := transport; n < len(frame); n++ {
		frames = append(frames, packet.Truncate(frame, n))
	}
	for _, padding := range []int{1, 18, 300} {
		frames = append(frames, append(bytes.Clone(frame), make([]byte, padding)...))
	}
	for at := 12; at < min(len(frame), transport+18); at++ {
		if at >= transport && at < transport+4 {
			continue // another port might be one that a flow has
		}
		for _, value := range []uint8{0, 1, 4, 6, 17, 44, 0x08, 0x45, 0x46, 0x60, 0x50, 0x80, 0x81, 0x86, 0xdd, 0xff} {
			frames = append(frames, packet.Set8(frame, at, value))
		}
	}
	length := len(frame) - transport
	for _, at := range []int{network + 2, network + 4, network + 6, transport + 4} {
		for _, value := range []int{0, 7, 8, 19, 20, 27, 28, 39, 40, length - 1, length, length + 1, length + 20, 0x2000, 0x4000, 0xffff} {
			frames = append(frames, packet.Set16(frame, at, uint16(value)))
		}
	}
	return frames
}

// TestCachedDecisionOfMappedAddress sends replies to many IPv4 flows in IPv6 packets with
// the v4-mapped forms of the addresses: they belong to no flow, although some have the
// same place in the decision cache.
func TestCachedDecisionOfMappedAddress(t *testing.T) {
	const peers = 2500 // several for each place in the cache
	mapped := func(addr netip.Addr) netip.Addr { return netip.AddrFrom16(addr.As16()) }
	programtest.EachMode(t, func(t *testing.T, mode datapath.Mode) {
		rs := programtest.FlowPorts(1 << 14)
		rs.Mode = mode
		p, _ := programtest.Pinned(t, rs, datapath.Shared{})
		random := rand.New(rand.NewPCG(1, 2))
		for range peers {
			peer := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, random.Uint32())))
			reply, restored := bpftest.UDP(peer, 7998, bpftest.Inside, 4000), bpftest.UDP(peer, 7999, bpftest.Inside, 4000)
			other := bpftest.UDP(mapped(peer), 7998, mapped(bpftest.Inside), 4000)
			programtest.Sent(t, p, bpftest.UDP(bpftest.Inside, 4000, peer, 7999))
			for range 2 {
				programtest.Want(t, "reply", programtest.Received(t, p, reply), restored)
			}
			if programtest.Want(t, "mapped", programtest.Received(t, p, other), other); t.Failed() {
				return
			}
		}
	})
}
