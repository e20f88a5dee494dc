package trace

import (
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Verdict is what became of a packet.
type Verdict uint32

// The verdicts. Each packet has one.
const (
	Passed            = Verdict(bpf.ProgramsVerdictPASSED)
	Rewritten         = Verdict(bpf.ProgramsVerdictREWRITTEN)
	Dropped           = Verdict(bpf.ProgramsVerdictDROPPED)
	ReplyRestored     = Verdict(bpf.ProgramsVerdictREPLY_RESTORED)
	ICMPErrorRestored = Verdict(bpf.ProgramsVerdictICMP_ERROR_RESTORED)
	Malformed         = Verdict(bpf.ProgramsVerdictMALFORMED)
)

var verdictWords = [...]string{
	Passed: "passed", Rewritten: "rewritten", Dropped: "dropped",
	ReplyRestored: "reply-restored", ICMPErrorRestored: "icmp-error-restored", Malformed: "malformed",
}

// String returns the verdict in a word.
func (v Verdict) String() string {
	if int(v) >= len(verdictWords) {
		return fmt.Sprintf("verdict %d", uint32(v))
	}
	return verdictWords[v]
}

// Event says what became of one packet.
type Event struct {
	Time time.Time
	// Device is the index of the host-side veth.
	Device int
	// Ruleset is the beginning of the name of the ruleset that was in force,
	// 16 hexadecimal digits.
	Ruleset   string
	Direction rules.Direction
	Verdict   Verdict
	// Rule is the index of the rule that decided, -1 for none.
	Rule int
	// PortMoved says that the packet's connection got another source port, NoPort
	// that none was free, and the packet was dropped for that.
	PortMoved, NoPort bool
	// Protocol is that of IP, such as 6 for TCP; 0 if the packet is no IP packet
	// or cut off before it says.
	Protocol uint8
	// Before and After have no addresses where Protocol is 0.
	Before, After Endpoints
	// PortsBefore and PortsAfter are the ports that were changed, in an ICMP error
	// those in the packet that it quotes; 0 if nothing was.
	PortsBefore, PortsAfter bpf.Ports
	// Length is that of the frame in bytes.
	Length int
	// Headers are the first 128 bytes of the frame at most, as it went on; a
	// dropped one's as it came. Its checksum may be one that a device is still
	// to complete.
	Headers []byte
}

func decodeEvent(raw []byte, clock clock) (*Event, error) {
	if len(raw) < int(unsafe.Sizeof(bpf.ProgramsTraceEvent{})) {
		return nil, fmt.Errorf("an event of %d bytes is of another build", len(raw))
	}
	event := (*bpf.ProgramsTraceEvent)(unsafe.Pointer(&raw[0]))
	decision := &event.Decision
	out := &Event{
		Time:      clock.at(event.Time),
		Device:    int(event.Ifindex),
		Ruleset:   fmt.Sprintf("%0*x", bpf.RulesetIDDigits, event.Ruleset),
		Direction: rules.Direction(event.Direction),
		Verdict:   Verdict(decision.Verdict),
		Rule:      int(decision.Rule) - 1,
		PortMoved: decision.Events&bpf.ProgramsFlowEventPORT_MOVED != 0,
		NoPort:    decision.Events&bpf.ProgramsFlowEventPORTS_EXHAUSTED != 0,
		Length:    int(event.Length),
		Headers:   event.Headers[:min(int(event.Captured), len(event.Headers))],
	}
	if decision.Ports != 0 {
		out.PortsBefore, out.PortsAfter = bpf.PortsOf(decision.From), bpf.PortsOf(decision.To)
	}
	out.Protocol, out.After = readHeaders(out.Headers)
	out.Before = out.After
	if out.Verdict == Rewritten || out.Verdict == ReplyRestored {
		out.Before.Source = netip.AddrPortFrom(out.After.Source.Addr(), out.PortsBefore.Source)
		out.Before.Destination = netip.AddrPortFrom(out.After.Destination.Addr(), out.PortsBefore.Destination)
	}
	return out, nil
}
