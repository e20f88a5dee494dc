// Package model says in plain Go what the programs on a container's veth do to
// a packet, byte by byte and counter by counter: the reference that they are
// tested against, and a generator of packets to test them with.
//
// It is written from the specification of the data path and not from the
// programs, and decides with rules.Decide instead of the compiled tables. What
// from_container leaves to fix_up_checksum is done at once. It knows one
// container, forgets no flow for want of room, and takes checksums for
// complete: CHECKSUM_PARTIAL is for tests with real sockets.
package model

import (
	"slices"
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Verdict is what becomes of a packet.
type Verdict uint8

// The verdicts.
const (
	Pass Verdict = iota
	Drop
)

// String returns the verdict as XDP has it.
func (v Verdict) String() string {
	if v == Drop {
		return "DROP"
	}
	return "PASS"
}

// Counters are those of struct counters in bpf/types.h, for one container and
// summed over CPUs.
type Counters struct {
	Passed             uint64
	Rewritten          uint64
	Dropped            uint64
	RepliesRestored    uint64
	ICMPErrorsRestored uint64
	Malformed          uint64
	PortsMoved         uint64
	PortsExhausted     uint64
	// Rules has an element for each rule.
	Rules []RuleCounter
}

// RuleCounter counts what a rule decided, in whole Ethernet frames.
type RuleCounter struct {
	Packets, Bytes uint64
}

// Reason is why a packet got its verdict. It is finer than the counters and no
// part of what the programs must agree with: it tells tests what they tested.
type Reason string

// The reasons.
const (
	NotOurs         Reason = "not ours"
	Malformed       Reason = "malformed"
	NoRule          Reason = "no rule"
	PassRule        Reason = "pass rule"
	DropRule        Reason = "drop rule"
	Moved           Reason = "source port changed"
	NoPort          Reason = "no source port free"
	Rewritten       Reason = "rewritten"
	RewrittenOneWay Reason = "rewritten one way"
	Damaged         Reason = "transport header damaged"
	Routed          Reason = "on its way to a waypoint"
	Reply           Reason = "reply"
	MovedReply      Reason = "reply, source port changed back"
	ErrorForward    Reason = "ICMP error, quoted packet of a flow"
	ErrorReply      Reason = "ICMP error, quoted reply of a flow"
	ErrorNoFlow     Reason = "ICMP error, quoted packet of no flow"
	ErrorUnusable   Reason = "ICMP error without a usable quote"
)

// Model is a container's two programs and what they remember.
type Model struct {
	// Rules may be replaced; flows stay.
	Rules []rules.Rule
	// Counters are the sums since the model was made.
	Counters Counters
	// Reason is that of the last packet.
	Reason Reason
	// Now is the time, which tests move on.
	Now time.Duration
	// PickPort picks one of the source ports that are free for a connection with this
	// one; the first free one, unless a test does it otherwise.
	// The packet's source port is at this offset.
	PickPort func(at int, source uint16, isFree func(uint16) bool) (port uint16, found bool)
	// Source is the source port of the last forward packet of a flow as it went on.
	Source uint16

	flows map[flowKey]*flow
	moved map[moveKey]uint16
}

// New makes a model without flows and with counters of 0.
func New(list []rules.Rule) *Model {
	return &Model{
		Rules:    list,
		Counters: Counters{Rules: make([]RuleCounter, len(list))},
		flows:    map[flowKey]*flow{},
		moved:    map[moveKey]uint16{},
		PickPort: firstFree,
	}
}

func firstFree(_ int, source uint16, isFree func(uint16) bool) (uint16, bool) {
	first, last := Choices(source)
	for port := uint32(first); port <= uint32(last); port++ {
		if isFree(uint16(port)) {
			return uint16(port), true
		}
	}
	return 0, false
}

// MayAge tells whether no flow is within margin of its end when so much time has
// passed: then it is clear for each whether it has expired.
func (m *Model) MayAge(by, margin time.Duration) bool {
	for _, f := range m.flows {
		idle, lifetime := m.Now+by-f.used, f.lifetime()
		if idle > lifetime-margin && idle < lifetime+margin {
			return false
		}
	}
	return true
}

// FromContainer is what becomes of a frame that the container sends: the
// programs from_container and fix_up_checksum. The frame itself is not changed;
// out is, and means nothing after Drop.
func (m *Model) FromContainer(frame []byte) (out []byte, verdict Verdict) {
	return m.Process(rules.Egress, frame)
}

// ToContainer is what becomes of a frame that is going to the container: the
// program to_container. The frame itself is not changed; out is, and means
// nothing after Drop.
func (m *Model) ToContainer(frame []byte) (out []byte, verdict Verdict) {
	return m.Process(rules.Ingress, frame)
}

// Process is FromContainer for egress and ToContainer for ingress.
func (m *Model) Process(dir rules.Direction, frame []byte) (out []byte, verdict Verdict) {
	x := examination{Model: m, dir: dir, frame: slices.Clone(frame)}
	kind := x.parse()
	switch kind {
	case malformed:
		x.malformed(Malformed)
	case other:
		x.pass(NotOurs)
	case transport:
		return x.frame, x.transport()
	case icmpError:
		x.icmpError()
	}
	return x.frame, Pass
}

// examination is a packet on its way through a model.
type examination struct {
	*Model
	ip
	dir   rules.Direction
	frame []byte
}

func (x *examination) malformed(reason Reason) {
	x.Reason = reason
	x.Counters.Malformed++
}

func (x *examination) pass(reason Reason) {
	x.Reason = reason
	x.Counters.Passed++
}

func opposite(dir rules.Direction) rules.Direction {
	if dir == rules.Egress {
		return rules.Ingress
	}
	return rules.Egress
}
