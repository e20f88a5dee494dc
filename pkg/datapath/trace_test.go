package datapath

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

func TestTraceTellsWhatBecame(t *testing.T) {
	stayOnCPU(t)
	programs, dir := pinned(t, traceRules(), Shared{})
	l := listen(t, dir, TraceOptions{})
	quote := udp(inside, 4000, outside, 7998)
	cut := udp(inside, 4000, outside, 53).Bytes()[:14+20+4]
	for _, test := range []struct {
		direction rules.Direction
		frame     []byte
		want      Event
	}{
		{rules.Egress, udp(inside, 4000, outside, 7999).Bytes(), Event{
			Verdict: Rewritten, Rule: 0, PortsBefore: Ports{4000, 7999}, PortsAfter: Ports{4000, 7998},
			Before: ends(inside, 4000, outside, 7999), After: ends(inside, 4000, outside, 7998),
		}},
		{rules.Ingress, udp(outside, 7998, inside, 4000).Bytes(), Event{
			Verdict: ReplyRestored, Rule: -1, PortsBefore: Ports{7998, 4000}, PortsAfter: Ports{7999, 4000},
			Before: ends(outside, 7998, inside, 4000), After: ends(outside, 7999, inside, 4000),
		}},
		{rules.Egress, udp(inside, 4000, outside, 25).Bytes(), Event{
			Verdict: Dropped, Rule: 1,
			Before: ends(inside, 4000, outside, 25), After: ends(inside, 4000, outside, 25),
		}},
		{rules.Egress, udp(inside, 4000, outside, 53).Bytes(), Event{
			Verdict: Passed, Rule: -1,
			Before: ends(inside, 4000, outside, 53), After: ends(inside, 4000, outside, 53),
		}},
		{rules.Egress, udp(inside, 4001, outside, 7998).Bytes(), Event{ // decided at tc
			Verdict: Passed, Rule: -1,
			Before: ends(inside, 4001, outside, 7998), After: ends(inside, 4001, outside, 7998),
		}},
		{rules.Ingress, udp(outside, 9, inside, 80).Bytes(), Event{
			Verdict: Rewritten, Rule: 2, PortsBefore: Ports{9, 80}, PortsAfter: Ports{9, 8080},
			Before: ends(outside, 9, inside, 80), After: ends(outside, 9, inside, 8080),
		}},
		{rules.Egress, udp(inside, 8080, outside, 9).Bytes(), Event{
			Verdict: ReplyRestored, Rule: -1, PortsBefore: Ports{8080, 9}, PortsAfter: Ports{80, 9},
			Before: ends(inside, 8080, outside, 9), After: ends(inside, 80, outside, 9),
		}},
		{rules.Egress, udp(inside, 4000, outside, 7999).Bytes(), Event{
			Verdict: Rewritten, Rule: 0, PortsBefore: Ports{4000, 7999}, PortsAfter: Ports{4000, 7998},
			Before: ends(inside, 4000, outside, 7999), After: ends(inside, 4000, outside, 7998),
		}},
		{rules.Ingress, packet.Packet{
			Source: outside, Destination: inside,
			Load: packet.Error{Type: 3, Code: 3, Quoted: quote.IP()},
		}.Bytes(), Event{
			Verdict: ICMPErrorRestored, Rule: -1, Protocol: packet.ProtocolICMP, PortsBefore: Ports{4000, 7998}, PortsAfter: Ports{4000, 7999},
			Before: ends(outside, 0, inside, 0), After: ends(outside, 0, inside, 0),
		}},
		{rules.Egress, cut, Event{
			Verdict: Malformed, Rule: -1,
			Before: ends(inside, 4000, outside, 53), After: ends(inside, 4000, outside, 53),
		}},
	} {
		before := time.Now()
		send(t, programs, test.direction, test.frame)
		event := next(t, l)
		if test.want.Protocol == 0 {
			test.want.Protocol = packet.ProtocolUDP
		}
		if event.Time.Before(before.Add(-time.Second)) || event.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("the time is %v, should be %v", event.Time, before)
		}
		if event.Verdict == Dropped && string(event.Headers) != string(test.frame) {
			t.Errorf("the headers are %x, the frame is %x", event.Headers, test.frame)
		}
		test.want.Direction, test.want.Device, test.want.Length = test.direction, loopback, len(test.frame)
		test.want.Time, test.want.Headers, test.want.Ruleset = event.Time, event.Headers, event.Ruleset
		if !reflect.DeepEqual(*event, test.want) {
			t.Errorf("the event is\n%+v, should be\n%+v", *event, test.want)
		}
	}
	wantSilence(t, l)
}

// TestTraceIsShared wants one listener to hear what other rules did, by their
// name, in order, and each once.
func TestTraceIsShared(t *testing.T) {
	stayOnCPU(t)
	one := traceRules()
	first, dir := pinned(t, one, Shared{})
	shared, err := OpenShared([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	other := traceRules()
	other.Flows = 2048
	second, otherDir := pinned(t, other, shared)
	alone, aloneDir := pinned(t, one, Shared{})
	l := listen(t, dir, TraceOptions{})
	for _, heard := range []struct {
		dir  string
		want bool
	}{{dir, true}, {otherDir, true}, {aloneDir, false}} {
		if got, err := l.Hears(heard.dir); got != heard.want || err != nil {
			t.Errorf("%s is heard: %t, %v, should be %t", heard.dir, got, err, heard.want)
		}
	}
	table, _ := rules.Compile(one.Rules)
	names := []string{one.Hash(table)[:16], other.Hash(table)[:16]}
	for i := range 500 {
		send(t, []*Programs{first, second}[i%2], rules.Egress, udp(inside, uint16(1000+i), outside, 7999).Bytes())
		send(t, alone, rules.Egress, udp(inside, uint16(1000+i), outside, 7999).Bytes())
	}
	for i := range 500 {
		event := next(t, l)
		if event.Ruleset != names[i%2] || event.Before.Source.Port() != uint16(1000+i) {
			t.Fatalf("event %d is %+v", i, event)
		}
	}
	wantSilence(t, l)
	if l.LeftOut() != 0 {
		t.Errorf("%d events were left out", l.LeftOut())
	}
}

func TestTraceFilters(t *testing.T) {
	programs, dir := pinned(t, traceRules(), Shared{})
	frame := udp(outside, 53, inside, 4000).Bytes()
	passed := func() uint64 {
		t.Helper()
		counters, err := programs.Counters(loopback)
		if err != nil {
			t.Fatal(err)
		}
		return counters.Passed
	}
	// flood returns how many packets it was: after a signal the library begins anew.
	flood := func(packets int) uint64 {
		t.Helper()
		before := passed()
		if _, err := programs.ToContainer.Run(&ebpf.RunOptions{Data: frame, Repeat: uint32(packets)}); err != nil {
			t.Fatal(err)
		}
		return passed() - before
	}
	t.Run("another device", func(t *testing.T) {
		l := listen(t, dir, TraceOptions{Device: loopback + 1})
		flood(100)
		wantSilence(t, l)
		l.Close()
	})
	t.Run("one in ten", func(t *testing.T) {
		l := listen(t, dir, TraceOptions{Device: loopback, Sample: 10})
		sent := flood(10_000)
		// Of 10,000, 1,000 are expected; 7 standard deviations off is never.
		if got := uint64(drain(t, l)); got+210 < sent/10 || got > sent/10+210 {
			t.Errorf("%d of %d packets were traced", got, sent)
		}
		l.Close()
	})
	t.Run("flood", func(t *testing.T) {
		l := listen(t, dir, TraceOptions{RingSize: 4096})
		sent := flood(100_000)
		got := drain(t, l)
		if got == 0 || uint64(got)+l.LeftOut() != sent {
			t.Errorf("%d packets were traced, %d left out, %d sent", got, l.LeftOut(), sent)
		}
		leftOut := l.LeftOut()
		l.Close()
		if l.LeftOut() != leftOut {
			t.Errorf("%d were left out after Close, %d before", l.LeftOut(), leftOut)
		}
	})
	t.Run("closed", func(t *testing.T) {
		l := listen(t, dir, TraceOptions{})
		waiting := make(chan error)
		l.SetDeadline(time.Time{})
		go func() {
			_, err := l.Next()
			waiting <- err
		}()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Next returned %v", err)
		}
	})
}
