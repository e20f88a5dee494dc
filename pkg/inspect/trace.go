package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/xdp-port/xdp-port/pkg/trace"
)

// Trace reads decisions about packets of containers.
type Trace struct {
	listener *trace.Listener
	// only has the containers to trace; nil is all.
	only   map[string]bool
	known  map[traced]*Attachment
	rules  map[string][]Rule
	readAt time.Time
	names  []string // of rules
	// Interfaces is the number of interfaces at the start. Later ones are traced too.
	Interfaces int
	// Untraced are attachments that cannot be traced together with the others, since their
	// programs were loaded separately.
	Untraced []string
}

// traced identifies an attachment in an event.
type traced struct {
	device  int
	ruleset string
}

// ErrNoAttachments is the error of Listen if there is nothing to trace.
var ErrNoAttachments = errors.New("no attachments")

// Listen starts tracing all attachments, or those of one container. The caller must Close the
// result.
//
// Returns an error wrapping ErrNoAttachments, ErrNotFound or an *AmbiguousError if there is nothing
// to trace, trace.ErrListening if another process is tracing.
func Listen(container string, options trace.Options) (*Trace, error) {
	list, err := Attachments()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNoAttachments
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
	if t.listener, err = trace.Listen(string(list[0].rulesetFolder), options); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t.findUntraced(list)
	return t, nil
}

// RuleNames returns the names of the rules at the start, in their order.
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

func (t *Trace) findUntraced(list []Attachment) {
	for i := range list {
		if heard, err := t.listener.Hears(string(list[i].rulesetFolder)); err == nil && !heard {
			t.Untraced = append(t.Untraced, list[i].Key().String())
		}
	}
}

// learn adds names of attachments and rules. It keeps those that are gone: events of them may
// still arrive.
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

// rulesetDigits is the number of characters of a ruleset's name in an event.
const rulesetDigits = 16

// Next waits for the next decision. Returns an error wrapping os.ErrDeadlineExceeded at the
// deadline, os.ErrClosed after Close.
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

// attachment returns the attachment of an event; nil if it is not known.
func (t *Trace) attachment(event *trace.Event) *Attachment {
	key := traced{event.Device, event.Ruleset}
	const seldom = time.Second // many events of unknown attachments must not cause many reads
	if t.known[key] == nil && time.Since(t.readAt) > seldom {
		if list, err := Attachments(); err == nil {
			t.learn(list)
		}
	}
	return t.known[key]
}

// LeftOut returns the number of packets that found the buffer full.
func (t *Trace) LeftOut() uint64 { return t.listener.LeftOut() }

// Close ends the trace.
func (t *Trace) Close() error { return t.listener.Close() }

// CloseOn closes the trace when the context is done.
func (t *Trace) CloseOn(ctx context.Context) {
	context.AfterFunc(ctx, func() { _ = t.Close() })
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
