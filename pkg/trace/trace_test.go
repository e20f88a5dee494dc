package trace_test

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/trace"
	"github.com/xdp-port/xdp-port/test/packet"
)

func TestTraceTellsWhatBecame(t *testing.T) {
	bpftest.StayOnCPU(t)
	programs, dir := programtest.Pinned(t, programtest.TraceRules(), datapath.Shared{})
	l := listen(t, dir, trace.Options{})
	quote := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998)
	cut := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 53).Bytes()[:14+20+4]
	for _, test := range []struct {
		direction rules.Direction
		frame     []byte
		want      trace.Event
	}{
		{rules.Egress, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999).Bytes(), trace.Event{
			Verdict: trace.Rewritten, Rule: 0, PortsBefore: ports(4000, 7999), PortsAfter: ports(4000, 7998),
			Before: ends(bpftest.Inside, 4000, bpftest.Outside, 7999), After: ends(bpftest.Inside, 4000, bpftest.Outside, 7998),
		}},
		{rules.Ingress, bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000).Bytes(), trace.Event{
			Verdict: trace.ReplyRestored, Rule: -1, PortsBefore: ports(7998, 4000), PortsAfter: ports(7999, 4000),
			Before: ends(bpftest.Outside, 7998, bpftest.Inside, 4000), After: ends(bpftest.Outside, 7999, bpftest.Inside, 4000),
		}},
		{rules.Egress, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 25).Bytes(), trace.Event{
			Verdict: trace.Dropped, Rule: 1,
			Before: ends(bpftest.Inside, 4000, bpftest.Outside, 25), After: ends(bpftest.Inside, 4000, bpftest.Outside, 25),
		}},
		{rules.Egress, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 53).Bytes(), trace.Event{
			Verdict: trace.Passed, Rule: -1,
			Before: ends(bpftest.Inside, 4000, bpftest.Outside, 53), After: ends(bpftest.Inside, 4000, bpftest.Outside, 53),
		}},
		{rules.Egress, bpftest.UDP(bpftest.Inside, 4001, bpftest.Outside, 7998).Bytes(), trace.Event{ // decided at tc
			Verdict: trace.Passed, Rule: -1,
			Before: ends(bpftest.Inside, 4001, bpftest.Outside, 7998), After: ends(bpftest.Inside, 4001, bpftest.Outside, 7998),
		}},
		{rules.Ingress, bpftest.UDP(bpftest.Outside, 9, bpftest.Inside, 80).Bytes(), trace.Event{
			Verdict: trace.Rewritten, Rule: 2, PortsBefore: ports(9, 80), PortsAfter: ports(9, 8080),
			Before: ends(bpftest.Outside, 9, bpftest.Inside, 80), After: ends(bpftest.Outside, 9, bpftest.Inside, 8080),
		}},
		{rules.Egress, bpftest.UDP(bpftest.Inside, 8080, bpftest.Outside, 9).Bytes(), trace.Event{
			Verdict: trace.ReplyRestored, Rule: -1, PortsBefore: ports(8080, 9), PortsAfter: ports(80, 9),
			Before: ends(bpftest.Inside, 8080, bpftest.Outside, 9), After: ends(bpftest.Inside, 80, bpftest.Outside, 9),
		}},
		{rules.Egress, bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999).Bytes(), trace.Event{
			Verdict: trace.Rewritten, Rule: 0, PortsBefore: ports(4000, 7999), PortsAfter: ports(4000, 7998),
			Before: ends(bpftest.Inside, 4000, bpftest.Outside, 7999), After: ends(bpftest.Inside, 4000, bpftest.Outside, 7998),
		}},
		{rules.Ingress, packet.Packet{
			Source: bpftest.Outside, Destination: bpftest.Inside,
			Load: packet.Error{Type: 3, Code: 3, Quoted: quote.IP()},
		}.Bytes(), trace.Event{
			Verdict: trace.ICMPErrorRestored, Rule: -1, Protocol: packet.ProtocolICMP, PortsBefore: ports(4000, 7998), PortsAfter: ports(4000, 7999),
			Before: ends(bpftest.Outside, 0, bpftest.Inside, 0), After: ends(bpftest.Outside, 0, bpftest.Inside, 0),
		}},
		{rules.Egress, cut, trace.Event{
			Verdict: trace.Malformed, Rule: -1,
			Before: ends(bpftest.Inside, 4000, bpftest.Outside, 53), After: ends(bpftest.Inside, 4000, bpftest.Outside, 53),
		}},
	} {
		before := time.Now()
		programtest.Send(t, programs, test.direction, test.frame)
		event := next(t, l)
		if test.want.Protocol == 0 {
			test.want.Protocol = packet.ProtocolUDP
		}
		if event.Time.Before(before.Add(-time.Second)) || event.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("the time is %v, should be %v", event.Time, before)
		}
		if event.Verdict == trace.Dropped && string(event.Headers) != string(test.frame) {
			t.Errorf("the headers are %x, the frame is %x", event.Headers, test.frame)
		}
		test.want.Direction, test.want.Device, test.want.Length = test.direction, bpftest.Loopback, len(test.frame)
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
	bpftest.StayOnCPU(t)
	one := programtest.TraceRules()
	first, dir := programtest.Pinned(t, one, datapath.Shared{})
	shared, err := datapath.OpenShared([]datapath.Dir{dir})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	other := programtest.TraceRules()
	other.Flows = 2048
	second, otherDir := programtest.Pinned(t, other, shared)
	alone, aloneDir := programtest.Pinned(t, one, datapath.Shared{})
	l := listen(t, dir, trace.Options{})
	for _, heard := range []struct {
		dir  datapath.Dir
		want bool
	}{{dir, true}, {otherDir, true}, {aloneDir, false}} {
		if got, err := l.Hears(string(heard.dir)); got != heard.want || err != nil {
			t.Errorf("%s is heard: %t, %v, should be %t", heard.dir, got, err, heard.want)
		}
	}
	table, _ := rules.Compile(one.Rules)
	names := []string{one.Hash(table)[:16], other.Hash(table)[:16]}
	for i := range 500 {
		programtest.Send(t, []*datapath.Programs{first, second}[i%2], rules.Egress, bpftest.UDP(bpftest.Inside, uint16(1000+i), bpftest.Outside, 7999).Bytes())
		programtest.Send(t, alone, rules.Egress, bpftest.UDP(bpftest.Inside, uint16(1000+i), bpftest.Outside, 7999).Bytes())
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
	programs, dir := programtest.Pinned(t, programtest.TraceRules(), datapath.Shared{})
	frame := bpftest.UDP(bpftest.Outside, 53, bpftest.Inside, 4000).Bytes()
	passed := func() uint64 {
		t.Helper()
		counters, err := programs.Counters(bpftest.Loopback)
		if err != nil {
			t.Fatal(err)
		}
		return counters.Passed
	}
	// flood returns the number of packets: after a signal the library starts again.
	flood := func(packets int) uint64 {
		t.Helper()
		before := passed()
		if _, err := programs.ToContainer.Run(&ebpf.RunOptions{Data: frame, Repeat: uint32(packets)}); err != nil {
			t.Fatal(err)
		}
		return passed() - before
	}
	t.Run("another device", func(t *testing.T) {
		l := listen(t, dir, trace.Options{Device: bpftest.Loopback + 1})
		flood(100)
		wantSilence(t, l)
		l.Close()
	})
	t.Run("one in ten", func(t *testing.T) {
		l := listen(t, dir, trace.Options{Device: bpftest.Loopback, Sample: 10})
		sent := flood(10_000)
		// Of 10,000, 1,000 are expected; 7 standard deviations off is never.
		if got := uint64(drain(t, l)); got+210 < sent/10 || got > sent/10+210 {
			t.Errorf("%d of %d packets were traced", got, sent)
		}
		l.Close()
	})
	t.Run("flood", func(t *testing.T) {
		l := listen(t, dir, trace.Options{RingSize: 4096})
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
		l := listen(t, dir, trace.Options{})
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
