package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/trace"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// hear listens to the packets of a ruleset, and of others that share its maps.
func hear(t *testing.T, ruleset string) *trace.Listener {
	t.Helper()
	l, err := trace.Listen(ruleset, trace.Options{})
	must(t, err)
	t.Cleanup(func() { l.Close() })
	l.SetDeadline(time.Now().Add(pace.Patience(10 * time.Second)))
	return l
}

// nextOf returns the ruleset's next event with a UDP port.
func nextOf(t *testing.T, l *trace.Listener, ruleset string, port uint16) *trace.Event {
	t.Helper()
	for {
		event, err := l.Next()
		must(t, err)
		before := event.Before
		about := before.Source.Port() == port || before.Destination.Port() == port
		if filepath.Base(ruleset)[:len(event.Ruleset)] == event.Ruleset && about {
			return event
		}
	}
}

func wantVerdict(t *testing.T, event *trace.Event, direction rules.Direction, verdict trace.Verdict, rule int) {
	t.Helper()
	if event.Direction != direction || event.Verdict != verdict || event.Rule != rule {
		t.Fatalf("the event is %+v, should be %s %s by rule %d", event, direction, verdict, rule)
	}
}

// TestTrace expects each of 1,000 questions and each answer once and in order.
func TestTrace(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.Conflist(network("bridge", "1.1.0", mode, tutorial())))
		c := attach(t, n, "lab")
		serve(t, n.Far, 7998)
		ruleset := rulesetOf(t, c)
		l := hear(t, ruleset)
		conn, err := node.DialUDP(c.NS, far("IPv4", 7999))
		must(t, err)
		defer conn.Close()
		own := netip.MustParseAddrPort(conn.LocalAddr().String())
		rewritten, restored := far("IPv4", 7998), far("IPv4", 7999)
		for i := range pace.Share(1000) {
			question := fmt.Sprintf("question %4d", i)
			must(t, askOn(conn, question))
			event := nextOf(t, l, ruleset, own.Port())
			wantVerdict(t, event, rules.Egress, trace.Rewritten, 0)
			if event.Before != (trace.Endpoints{Source: own, Destination: restored}) ||
				event.After != (trace.Endpoints{Source: own, Destination: rewritten}) {
				t.Fatalf("question %d went %v -> %v", i, event.Before, event.After)
			}
			if end := string(event.Headers[len(event.Headers)-len(question):]); end != question {
				t.Fatalf("heard %q, asked %q", end, question)
			}
			event = nextOf(t, l, ruleset, own.Port())
			wantVerdict(t, event, rules.Ingress, trace.ReplyRestored, -1)
			if event.Before != (trace.Endpoints{Source: rewritten, Destination: own}) ||
				event.After != (trace.Endpoints{Source: restored, Destination: own}) {
				t.Fatalf("answer %d went %v -> %v", i, event.Before, event.After)
			}
		}
		if l.LeftOut() != 0 {
			t.Errorf("%d events were left out", l.LeftOut())
		}
	})
}

// TestTraceOutlivesRules expects a trace to continue when a container's rules are replaced.
func TestTraceOutlivesRules(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	serve(t, n.Far, 7998)
	config := direct(tutorial())
	wantSuccess(t, plugin(t, c, "ADD", config))
	first := directRuleset(t, c)
	l := hear(t, first)
	conn, err := node.DialUDP(c.NS, far("IPv4", 7999))
	must(t, err)
	defer conn.Close()
	own := netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
	must(t, askOn(conn, "before"))
	wantVerdict(t, nextOf(t, l, first, own), rules.Egress, trace.Rewritten, 0)

	config["rules"] = append([]any{rule("protocol", "udp", "port", 25, "action", "drop")}, tutorial()...)
	wantSuccess(t, plugin(t, c, "ADD", config))
	second := directRuleset(t, c)
	must(t, askOn(conn, "after"))
	wantVerdict(t, nextOf(t, l, second, own), rules.Egress, trace.Rewritten, 1)
	wantVerdict(t, nextOf(t, l, second, own), rules.Ingress, trace.ReplyRestored, -1)
	if heard, err := l.Hears(second); !heard || err != nil {
		t.Errorf("Hears says %t, %v", heard, err)
	}
}

// TestTraceUnderFlood expects the number of omitted packets.
func TestTraceUnderFlood(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", tutorial())))
	c := attach(t, n, "lab")
	sink, err := node.ListenUDP(n.Far, 7998)
	must(t, err)
	defer sink.Close()
	ruleset := rulesetOf(t, c)
	l := hear(t, ruleset)
	conn, err := node.DialUDP(c.NS, far("IPv4", 7999))
	must(t, err)
	defer conn.Close()
	packets := max(pace.Share(50_000), 20_000) // the ring holds about 5,000
	before := countersOf(t, n, c)
	// Small batches, so that the kernel drops none: it queues few packets for an unresolved
	// neighbour, and 1,000 for a busy CPU.
	after := before
	for sent, batch := 0, 1; sent < packets; batch = 500 {
		for range batch {
			_, err := conn.Write([]byte("flood"))
			must(t, err)
		}
		sent += batch
		after = awaitCounters(t, n, c, func(now *datapath.Counters) bool {
			return now.Rewritten-before.Rewritten >= uint64(sent)
		})
	}
	heard := uint64(0)
	for l.SetDeadline(time.Now()); ; heard++ {
		_, err := l.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		must(t, err)
	}
	// Neighbour discovery happens now and then, also before and after the count.
	const others = 100
	decided := after.Rewritten - before.Rewritten + after.Passed - before.Passed
	reported := heard + l.LeftOut()
	if decided < uint64(packets) || l.LeftOut() == 0 || heard == 0 || reported < decided || reported > decided+others {
		t.Errorf("%d packets were decided, %d reported, %d left out", decided, heard, l.LeftOut())
	}
}
