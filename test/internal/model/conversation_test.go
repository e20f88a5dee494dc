package model

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

const (
	out = rules.Egress
	in  = rules.Ingress
)

var (
	container4, peer4, router4 = netip.MustParseAddr("10.88.0.2"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.88.0.1")
	container6, peer6, router6 = netip.MustParseAddr("fd00::2"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fd00::1")
)

// family holds the addresses of one IP version.
type family struct {
	container, peer, router netip.Addr
}

var families = map[string]family{
	"ipv4": {container4, peer4, router4},
	"ipv6": {container6, peer6, router6},
}

// from returns a packet that the container sends.
func (f family) from(load packet.Load) packet.Packet {
	return packet.Packet{Source: f.container, Destination: f.peer, Load: load}
}

// to returns a packet to the container.
func (f family) to(load packet.Load) packet.Packet {
	return packet.Packet{Source: f.peer, Destination: f.container, Load: load}
}

func udp(source, destination uint16) packet.UDP {
	return packet.UDP{Source: source, Destination: destination, Payload: []byte("a payload")}
}

func tcp(source, destination uint16) packet.TCP {
	return packet.TCP{Source: source, Destination: destination, Payload: []byte("a payload")}
}

// step is a packet and the expected result.
type step struct {
	dir   rules.Direction
	frame []byte
	// out is nil for a frame that stays unchanged.
	out    []byte
	reason Reason
	// by is the index plus one of the rule that counts the packet.
	by int
	// moved is 1 for a packet that gives its connection another source port.
	moved uint64
}

// countedIn returns the one counter for a reason.
func countedIn(c *Counters, reason Reason) *uint64 {
	switch reason {
	case Malformed, Damaged:
		return &c.Malformed
	case DropRule:
		return &c.Dropped
	case Rewritten, RewrittenOneWay, Moved:
		return &c.Rewritten
	case Reply, MovedReply:
		return &c.RepliesRestored
	case ErrorForward, ErrorReply:
		return &c.ICMPErrorsRestored
	}
	return &c.Passed
}

// converse sends the packets through a new model, one by one. After each packet it
// compares verdict, frame, reason and all counters.
func converse(t *testing.T, list []rules.Rule, steps ...step) {
	t.Helper()
	m := New(list)
	want := Counters{Rules: make([]RuleCounter, len(list))}
	for n, s := range steps {
		before := slices.Clone(s.frame)
		got, verdict := m.Process(s.dir, s.frame)
		if !bytes.Equal(s.frame, before) {
			t.Fatalf("step %d: the model changed its argument", n)
		}
		*countedIn(&want, s.reason)++
		want.PortsMoved += s.moved
		if s.by > 0 {
			want.Rules[s.by-1].Packets++
			want.Rules[s.by-1].Bytes += uint64(len(s.frame))
		}
		if m.Reason != s.reason {
			t.Fatalf("step %d: %s, want %s", n, m.Reason, s.reason)
		}
		if !reflect.DeepEqual(m.Counters, want) {
			t.Fatalf("step %d: counters %+v, want %+v", n, m.Counters, want)
		}
		s.compare(t, n, got, verdict)
	}
}

func (s *step) compare(t *testing.T, n int, got []byte, verdict Verdict) {
	t.Helper()
	if s.reason == DropRule {
		if verdict != Drop {
			t.Fatalf("step %d: verdict %v, want DROP", n, verdict)
		}
		return
	}
	if verdict != Pass {
		t.Fatalf("step %d: verdict %v, want PASS", n, verdict)
	}
	want := s.out
	if want == nil {
		want = s.frame
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("step %d: the frame is\n% x\nwant\n% x", n, got, want)
	}
	if s.out == nil {
		return
	}
	if err := packet.Verify(got); err != nil {
		t.Fatalf("step %d: %v", n, err)
	}
}

// rewrite returns a rule from a port to port 8080.
func rewrite(dir rules.Direction, proto rules.Protocol, port uint16) rules.Rule {
	return rules.Rule{
		Direction: dir, Protocol: proto, Action: rules.Rewrite,
		Ports: rules.PortRange{First: port, Last: port}, To: rules.PortRange{First: 8080, Last: 8080},
	}
}

func oneWay(rule rules.Rule) rules.Rule {
	rule.OneWay = true
	return rule
}

func decide(action rules.Action, proto rules.Protocol, port uint16) rules.Rule {
	return rules.Rule{Protocol: proto, Action: action, Ports: rules.PortRange{First: port, Last: port}}
}

// shapes returns variants of a packet that must have the same result.
func shapes(p packet.Packet) map[string]packet.Packet {
	tagged, padded, noLength := p, p, p
	tagged.Tags = []packet.Tag{{EtherType: packet.EtherTypeProvider, ID: 5}, {EtherType: packet.EtherTypeVLAN, ID: 6}}
	padded.Padding = 9
	noLength.NoLength = true
	all := map[string]packet.Packet{"plain": p, "two tags": tagged, "padding": padded, "no length": noLength}
	optional := p
	optional.Options = []byte{7, 7, 4, 0, 0, 0, 0} // IPv4 only
	optional.Extensions = []packet.Extension{      // IPv6 only
		{Protocol: packet.ProtocolHopByHop},
		{Protocol: packet.ProtocolRouting, Data: make([]byte, 16)},
		{Protocol: packet.ProtocolDestinationOptions},
	}
	all["options"] = optional
	optional.Fragment = &packet.Fragment{}
	all["atomic fragment"] = optional
	return all
}

// everywhere runs the test for both families, TCP and UDP, and both directions. The
// rule rewrites port 80 to port 8080 in this direction and protocol, and matches the
// packet first.
func everywhere(t *testing.T, test func(t *testing.T, dir rules.Direction, rule rules.Rule, first packet.Packet)) {
	for name, f := range families {
		for proto, load := range map[rules.Protocol]packet.Load{rules.TCP: tcp(1024, 80), rules.UDP: udp(1024, 80)} {
			for dir, first := range map[rules.Direction]packet.Packet{out: f.from(load), in: f.to(load)} {
				t.Run(name+" "+proto.String()+" "+dir.String(), func(t *testing.T) {
					test(t, dir, rewrite(dir, proto, 80), first)
				})
			}
		}
	}
}
