package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/xdp-port/xdp-port/pkg/trace"
)

// Decision is what became of one packet, by names.
type Decision struct {
	Time      time.Time `json:"time"`
	Network   string    `json:"network"`
	Container string    `json:"container"`
	Interface string    `json:"interface"`
	Direction string    `json:"direction"`
	// Protocol is tcp, udp, icmp, icmpv6, or the number of another one; empty for
	// what is no IP packet.
	Protocol string `json:"protocol"`
	Before   Ends   `json:"before,omitzero"`
	After    Ends   `json:"after,omitzero"`
	// QuotedBefore and QuotedAfter are the ports of the packet that an ICMP error
	// quotes, where they were changed.
	QuotedBefore QuotedPorts `json:"quotedPortsBefore,omitzero"`
	QuotedAfter  QuotedPorts `json:"quotedPortsAfter,omitzero"`
	Verdict      string      `json:"verdict"`
	// Rule is the name of the rule that decided, empty for none.
	Rule string `json:"rule,omitempty"`
	// PortMoved says that the packet began a connection that got another source
	// port, NoPort that none was free, and the packet was dropped for that.
	PortMoved bool `json:"portMoved,omitempty"`
	NoPort    bool `json:"noPort,omitempty"`
	// Length is that of the whole frame in bytes.
	Length int `json:"length"`
	// Headers are the first bytes of the frame as it went on.
	Headers []byte `json:"-"`
}

// QuotedPorts are those of the packet in an ICMP error.
type QuotedPorts struct {
	Source      uint16 `json:"source"`
	Destination uint16 `json:"destination"`
}

// Ends are where a packet comes from and goes to.
type Ends struct {
	Source      End `json:"source"`
	Destination End `json:"destination"`
}

// End is an address and a port, which is 0 where there is none.
type End struct{ netip.AddrPort }

// String leaves a port out that is not there.
func (e End) String() string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.AddrPort.String()
}

// MarshalText is String, but nothing for no address.
func (e End) MarshalText() ([]byte, error) {
	if !e.IsValid() {
		return nil, nil
	}
	return []byte(e.String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (e *End) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*e = End{}
		return nil
	}
	if e.AddrPort, err = netip.ParseAddrPort(string(text)); err == nil {
		return nil
	}
	addr, err := netip.ParseAddr(string(text))
	e.AddrPort = netip.AddrPortFrom(addr, 0)
	return err
}

// Trace hears what becomes of containers' packets.
type Trace struct {
	listener *trace.Listener
	// only has the containers to hear of; nil is all.
	only   map[string]bool
	known  map[traced]*Attachment
	rules  map[string][]Rule
	readAt time.Time
	names  []string // of rules
	// Interfaces is how many are traced from the start; later ones are, too.
	Interfaces int
	// Unheard are the attachments whose programs are of a build that this trace
	// does not reach.
	Unheard []string
}

// traced is how an event names an attachment.
type traced struct {
	device  int
	ruleset string
}

// ErrNothing is returned where there is nothing to trace.
var ErrNothing = errors.New("nothing is attached")

// Listen begins to trace all attachments, or those of one container. The caller
// must Close the result.
//
// Returns an error wrapping ErrNothing, ErrNotFound or an *AmbiguousError where
// there is nothing to trace, trace.ErrListening if somebody else is tracing.
func Listen(container string, options trace.Options) (*Trace, error) {
	list, err := Attachments()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNothing
	}
	t := new(Trace)
	if container != "" {
		if list, err = Container(list, container); err != nil {
			return nil, err
		}
		t.only = map[string]bool{list[0].Container: true}
		if len(list) == 1 {
			options.Device = list[0].Index
		}
	}
	t.Interfaces, t.names = len(list), ruleNames(list)
	t.learn(list)
	if t.listener, err = trace.Listen(list[0].rulesetFolder, options); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t.findUnheard(list)
	return t, nil
}

// RuleNames are the names of the rules that are traced from the start, in their
// order.
func (t *Trace) RuleNames() []string { return t.names }

func ruleNames(list []Attachment) (names []string) {
	for i := range list {
		for _, rule := range list[i].Rules {
			if !slices.Contains(names, rule.Name) {
				names = append(names, rule.Name)
			}
		}
	}
	return names
}

func (t *Trace) findUnheard(list []Attachment) {
	for i := range list {
		if heard, err := t.listener.Hears(list[i].rulesetFolder); err == nil && !heard {
			t.Unheard = append(t.Unheard, list[i].Key().String())
		}
	}
}

// learn takes note of the names of attachments and rules. Those that are gone
// by now stay known: events of theirs may be on the way.
func (t *Trace) learn(list []Attachment) {
	t.readAt = time.Now()
	if t.known == nil {
		t.known, t.rules = map[traced]*Attachment{}, map[string][]Rule{}
	}
	for i := range list {
		a := &list[i]
		ruleset := a.Ruleset[:min(len(a.Ruleset), rulesetDigits)]
		t.known[traced{a.Index, ruleset}] = a
		t.rules[ruleset] = a.Rules
	}
}

// rulesetDigits is how much of a ruleset's name an event has.
const rulesetDigits = 16

// Next waits for the next decision, until a deadline. Returns an error wrapping
// os.ErrDeadlineExceeded then, os.ErrClosed after Close.
func (t *Trace) Next(deadline time.Time) (*Decision, error) {
	t.listener.SetDeadline(deadline)
	for {
		event, err := t.listener.Next()
		if err != nil {
			return nil, err
		}
		a := t.attachment(event)
		if t.only == nil || a != nil && t.only[a.Container] {
			return t.decision(event, a), nil
		}
	}
}

// attachment finds the one an event is about; nil if nobody knows it any more.
func (t *Trace) attachment(event *trace.Event) *Attachment {
	key := traced{event.Device, event.Ruleset}
	const seldom = time.Second // a flood of unknown ones must not have us read all the time
	if t.known[key] == nil && time.Since(t.readAt) > seldom {
		if list, err := Attachments(); err == nil {
			t.learn(list)
		}
	}
	return t.known[key]
}

func (t *Trace) decision(event *trace.Event, a *Attachment) *Decision {
	d := &Decision{
		Time: event.Time, Direction: event.Direction.String(), Protocol: protocolName(event.Protocol),
		Verdict: event.Verdict.String(), PortMoved: event.PortMoved, NoPort: event.NoPort,
		Length: event.Length, Headers: event.Headers,
	}
	if event.Protocol != 0 {
		d.Before, d.After = endsOf(event.Before), endsOf(event.After)
	}
	if event.Verdict == trace.ICMPErrorRestored {
		d.QuotedBefore, d.QuotedAfter = QuotedPorts(event.PortsBefore), QuotedPorts(event.PortsAfter)
	}
	if rules := t.rules[event.Ruleset]; 0 <= event.Rule && event.Rule < len(rules) {
		d.Rule = rules[event.Rule].Name
	} else if event.Rule >= 0 {
		d.Rule = fmt.Sprintf("rules[%d]", event.Rule)
	}
	if a != nil {
		d.Network, d.Container, d.Interface = a.Network, a.Container, a.Interface
	}
	return d
}

func endsOf(e trace.Endpoints) Ends { return Ends{End{e.Source}, End{e.Destination}} }

func protocolName(number uint8) string {
	names := map[uint8]string{0: "", 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
	if name, known := names[number]; known {
		return name
	}
	return fmt.Sprint(number)
}

// LeftOut is the number of packets that found the buffer full.
func (t *Trace) LeftOut() uint64 { return t.listener.LeftOut() }

// Close ends the trace.
func (t *Trace) Close() error { return t.listener.Close() }

// CloseOn closes the trace when the context is done.
func (t *Trace) CloseOn(ctx context.Context) {
	context.AfterFunc(ctx, func() { _ = t.Close() })
}

// IsOver tells whether an error of Next means that the trace was closed.
func IsOver(err error) bool { return errors.Is(err, os.ErrClosed) }

// String is the decision on one line: "udp 10.88.0.2:4000 > 1.1.1.1:53".
func (d *Decision) String() string {
	var b strings.Builder
	if d.Protocol == "" {
		b.WriteString("no IP packet")
	} else {
		fmt.Fprintf(&b, "%s %s > %s", d.Protocol, d.Before.Source, d.Before.Destination)
	}
	if d.After.Destination != d.Before.Destination {
		fmt.Fprintf(&b, " -> %s", d.After.Destination)
	}
	if d.After.Source != d.Before.Source {
		fmt.Fprintf(&b, ", from %s", d.After.Source)
	}
	if was, is := d.QuotedBefore, d.QuotedAfter; was.Source != is.Source {
		fmt.Fprintf(&b, ", quoting source port %d instead of %d", is.Source, was.Source)
	}
	if was, is := d.QuotedBefore, d.QuotedAfter; was.Destination != is.Destination {
		fmt.Fprintf(&b, ", quoting port %d instead of %d", is.Destination, was.Destination)
	}
	return b.String()
}
