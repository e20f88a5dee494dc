package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// loopback is the device that a test run's packets come from.
const loopback = 1

var (
	inside  = netip.MustParseAddr("10.88.0.2")
	outside = netip.MustParseAddr("10.99.0.2")
)

// pinned loads rules into a folder of their own and makes them heed loopback.
func pinned(t *testing.T, rs *Ruleset, shared Shared) (*Programs, string) {
	t.Helper()
	dir, err := os.MkdirTemp("/sys/fs/bpf", "xdp-port-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(Unpin(dir), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := Load(rs, table, shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { programs.Close() })
	if err := errors.Join(programs.Pin(dir), programs.Activate(loopback)); err != nil {
		t.Fatal(err)
	}
	return programs, dir
}

func traceRules() *Ruleset {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	return &Ruleset{Flows: 1024, Rules: []rules.Rule{
		{Name: "dns", Protocol: rules.UDP, Ports: port(7999), To: port(7998)},
		{Name: "mail", Protocol: rules.UDP, Ports: port(25), Action: rules.Drop},
		{Name: "web", Direction: rules.Ingress, Protocol: rules.UDP, Ports: port(80), To: port(8080)},
	}}
}

func listen(t *testing.T, dir string, options TraceOptions) *Listener {
	t.Helper()
	l, err := Listen(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	l.SetDeadline(time.Now().Add(5 * time.Second))
	return l
}

func next(t *testing.T, l *Listener) *Event {
	t.Helper()
	event, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// wantSilence wants no more events.
func wantSilence(t *testing.T, l *Listener) {
	t.Helper()
	l.SetDeadline(time.Now())
	if event, err := l.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one event too many: %+v, %v", event, err)
	}
	l.SetDeadline(time.Now().Add(5 * time.Second))
}

// send runs a packet through the programs as the kernel does.
func send(t *testing.T, p *Programs, direction rules.Direction, frame []byte) {
	t.Helper()
	if direction == rules.Ingress {
		run(t, p.ToContainer, frame)
		return
	}
	const xdpPass = 2
	if result, out := run(t, p.FromContainer, frame); result == xdpPass {
		run(t, p.SettleChecksum, out)
	}
}

func run(t *testing.T, program *ebpf.Program, frame []byte) (uint32, []byte) {
	t.Helper()
	options := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	result, err := program.Run(&options)
	if err != nil {
		t.Fatal(err)
	}
	return result, options.DataOut
}

// stayOnCPU keeps XDP and tc of a packet on one CPU.
func stayOnCPU(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	var before, one unix.CPUSet
	one.Set(0)
	if err := errors.Join(unix.SchedGetaffinity(0, &before), unix.SchedSetaffinity(0, &one)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	})
}

func udp(from netip.Addr, fromPort uint16, to netip.Addr, toPort uint16) packet.Packet {
	return packet.Packet{Source: from, Destination: to, Load: packet.UDP{
		Source: fromPort, Destination: toPort, Payload: []byte("payload"),
	}}
}

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
			Verdict: Rewritten, Rule: 0, PortBefore: 7999, PortAfter: 7998,
			Before: ends(inside, 4000, outside, 7999), After: ends(inside, 4000, outside, 7998),
		}},
		{rules.Ingress, udp(outside, 7998, inside, 4000).Bytes(), Event{
			Verdict: ReplyRestored, Rule: -1, PortBefore: 7998, PortAfter: 7999,
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
		{rules.Egress, udp(inside, 4000, outside, 7998).Bytes(), Event{ // decided at tc
			Verdict: Passed, Rule: -1, FlowConflict: true,
			Before: ends(inside, 4000, outside, 7998), After: ends(inside, 4000, outside, 7998),
		}},
		{rules.Ingress, udp(outside, 9, inside, 80).Bytes(), Event{
			Verdict: Rewritten, Rule: 2, PortBefore: 80, PortAfter: 8080,
			Before: ends(outside, 9, inside, 80), After: ends(outside, 9, inside, 8080),
		}},
		{rules.Egress, udp(inside, 8080, outside, 9).Bytes(), Event{
			Verdict: ReplyRestored, Rule: -1, PortBefore: 8080, PortAfter: 80,
			Before: ends(inside, 8080, outside, 9), After: ends(inside, 80, outside, 9),
		}},
		{rules.Egress, udp(inside, 4000, outside, 7999).Bytes(), Event{
			Verdict: Rewritten, Rule: 0, PortBefore: 7999, PortAfter: 7998,
			Before: ends(inside, 4000, outside, 7999), After: ends(inside, 4000, outside, 7998),
		}},
		{rules.Ingress, packet.Packet{
			Source: outside, Destination: inside,
			Load: packet.Error{Type: 3, Code: 3, Quoted: quote.IP()},
		}.Bytes(), Event{
			Verdict: ICMPErrorRestored, Rule: -1, Protocol: packet.ProtocolICMP, PortBefore: 7998, PortAfter: 7999,
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

func ends(from netip.Addr, fromPort uint16, to netip.Addr, toPort uint16) Endpoints {
	return Endpoints{netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)}
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
	flood := func(packets int) {
		t.Helper()
		if _, err := programs.ToContainer.Run(&ebpf.RunOptions{Data: frame, Repeat: uint32(packets)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("another device", func(t *testing.T) {
		l := listen(t, dir, TraceOptions{Device: loopback + 1})
		flood(100)
		wantSilence(t, l)
		l.Close()
	})
	t.Run("one in ten", func(t *testing.T) {
		l := listen(t, dir, TraceOptions{Device: loopback, Sample: 10})
		flood(10_000)
		// 1,000 are expected; 7 standard deviations off is never.
		if got := drain(t, l); got < 790 || got > 1210 {
			t.Errorf("%d of 10,000 packets were traced", got)
		}
		l.Close()
	})
	t.Run("flood", func(t *testing.T) {
		l := listen(t, dir, TraceOptions{RingSize: 4096})
		flood(100_000)
		got := drain(t, l)
		if got == 0 || uint64(got)+l.LeftOut() != 100_000 {
			t.Errorf("%d packets were traced, %d left out, 100,000 sent", got, l.LeftOut())
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

// drain reads what there is.
func drain(t *testing.T, l *Listener) (events int) {
	t.Helper()
	for l.SetDeadline(time.Now()); ; events++ {
		_, err := l.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

const listenerDir = "XDP_PORT_TEST_LISTENER"

// TestDeadListener kills a listener: another has to wait until its time is over,
// and the first packet after that makes tracing cost nothing again.
func TestDeadListener(t *testing.T) {
	if dir := os.Getenv(listenerDir); dir != "" {
		listen(t, dir, TraceOptions{})
		fmt.Println("listening")
		select {}
	}
	programs, dir := pinned(t, traceRules(), Shared{})
	victim := exec.Command(os.Args[0], "-test.run=^TestDeadListener$")
	victim.Env = append(os.Environ(), listenerDir+"="+dir)
	victim.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // a thread's end would be the parent's
	defer runtime.UnlockOSThread()
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(listenFor + renewEvery) // it goes on for longer than it said first
	if _, err := Listen(dir, TraceOptions{}); !errors.Is(err, ErrListening) {
		t.Errorf("a second listener got %v", err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	if _, err := Listen(dir, TraceOptions{}); !errors.Is(err, ErrListening) {
		t.Errorf("a listener at once after the first one's death got %v", err)
	}
	time.Sleep(listenFor)
	frame := udp(outside, 53, inside, 4000).Bytes()
	run(t, programs.ToContainer, frame)
	control, err := openTraceControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	if control.shared.Until != 0 {
		t.Errorf("the dead listener is not forgotten: %+v", control.shared)
	}
	l := listen(t, dir, TraceOptions{})
	run(t, programs.ToContainer, frame)
	next(t, l)
	wantSilence(t, l)
}

// TestSleepingListener is stopped for longer than it said it would listen, and
// finds another one in its place.
func TestSleepingListener(t *testing.T) {
	_, dir := pinned(t, traceRules(), Shared{})
	sleeper := listen(t, dir, TraceOptions{})
	sleeper.SetDeadline(time.Time{})
	sleeper.control.shared.Until = 1 // long over
	usurper := listen(t, dir, TraceOptions{})
	if _, err := sleeper.Next(); !errors.Is(err, ErrListening) {
		t.Errorf("the sleeper got %v", err)
	}
	if err := sleeper.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(renewEvery + renewEvery/2)
	if !usurper.control.holds() || usurper.lost.Load() != nil {
		t.Error("the sleeper ended the trace of the other")
	}
}
