// Package model is the reference for the programs on a container's veth. In plain Go,
// it computes for each packet every byte and every counter. It also generates random
// packets to test with.
//
// The model is written from the specification of the data path, not from the programs.
// It uses rules.Decide instead of the compiled tables, and does the work of
// from_container and fix_up_checksum in one step. It knows one container, never evicts
// a flow, and takes all checksums as complete. Tests with real sockets cover
// CHECKSUM_PARTIAL.
package model

import (
	"slices"
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Verdict is the fate of a packet.
type Verdict uint8

// The verdicts.
const (
	Pass Verdict = iota
	Drop
)

// String returns the name that XDP uses.
func (v Verdict) String() string {
	if v == Drop {
		return "DROP"
	}
	return "PASS"
}

// Counters mirror struct counters in bpf/types.h, for one container and summed over all
// CPUs.
type Counters struct {
	Passed             uint64
	Rewritten          uint64
	Dropped            uint64
	RepliesRestored    uint64
	ICMPErrorsRestored uint64
	Malformed          uint64
	PortsMoved         uint64
	PortsExhausted     uint64
	// Rules has one element per rule.
	Rules []RuleCounter
}

// RuleCounter counts the packets that a rule decided. Bytes are those of whole Ethernet
// frames.
type RuleCounter struct {
	Packets, Bytes uint64
}

// Reason explains a verdict. It is finer than the counters, and shows what a test
// covered. The programs have no reasons to compare with.
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

// Model holds the state of a container's two programs.
type Model struct {
	// Rules may be replaced; the flows stay.
	Rules []rules.Rule
	// Counters count since New.
	Counters Counters
	// Reason explains the verdict of the last packet.
	Reason Reason
	// Now is the time. Tests advance it.
	Now time.Duration
	// PickPort chooses one of the free source ports for a connection with this source
	// port. The default is the first free one. The packet has its source port at offset
	// at.
	PickPort func(at int, source uint16, isFree func(uint16) bool) (port uint16, found bool)
	// Source is the source port of the last forward packet of a flow, after the change.
	Source uint16

	flows   map[flowKey]*flow
	aliases map[aliasKey]uint16
}

// New returns a model without flows. All counters are 0.
func New(list []rules.Rule) *Model {
	return &Model{
		Rules:    list,
		Counters: Counters{Rules: make([]RuleCounter, len(list))},
		flows:    map[flowKey]*flow{},
		aliases:  map[aliasKey]uint16{},
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

// MayAge reports whether it is clear for each flow if it expires within the given time:
// no expiry is within the margin.
func (m *Model) MayAge(by, margin time.Duration) bool {
	for _, f := range m.flows {
		idle, lifetime := m.Now+by-f.used, f.lifetime()
		if idle > lifetime-margin && idle < lifetime+margin {
			return false
		}
	}
	return true
}

// FromContainer processes a frame from the container, like the programs from_container
// and fix_up_checksum. It does not change the frame itself. out is undefined after
// Drop.
func (m *Model) FromContainer(frame []byte) (out []byte, verdict Verdict) {
	return m.Process(rules.Egress, frame)
}

// ToContainer processes a frame to the container, like the program to_container. It
// does not change the frame itself. out is undefined after Drop.
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

// examination is the processing of one packet.
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
