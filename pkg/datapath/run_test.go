package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/affinity"
	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/packet"
)

// loopback is the device that a test run's packets come from.
const loopback = 1

var (
	inside  = netip.MustParseAddr("10.88.0.2")
	outside = netip.MustParseAddr("10.99.0.2")
)

// pinned loads rules into a BPF file system of their own and makes them heed
// loopback.
func pinned(t *testing.T, rs *Ruleset, shared Shared) (*Programs, string) {
	t.Helper()
	dir := bpffs(t)
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

// bpffs mounts a BPF file system.
func bpffs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// devices makes devices in a network namespace of the test's own.
func devices(t *testing.T, indices ...int) {
	t.Helper()
	runtime.LockOSThread() // and never unlocks: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	for _, index := range indices {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = fmt.Sprintf("device%d", index), index
		device := &netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprintf("peer%d", index)}
		if err := errors.Join(netlink.LinkAdd(device), netlink.LinkSetUp(device)); err != nil {
			t.Fatal(err)
		}
	}
}

func traceRules() *Ruleset {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	return &Ruleset{Mode: AutoMode(), Flows: 1024, Rules: []rules.Rule{
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
	await(l)
	return l
}

// await has Next wait for as long as an event may take.
func await(l *Listener) { l.SetDeadline(time.Now().Add(pace.Patience(5 * time.Second))) }

func next(t *testing.T, l *Listener) *Event {
	t.Helper()
	await(l)
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
	await(l)
}

// send runs a packet through the programs as the kernel does.
func send(t *testing.T, p *Programs, direction rules.Direction, frame []byte) {
	t.Helper()
	if direction == rules.Ingress {
		run(t, p.ToContainer, frame)
		return
	}
	if p.FromContainerTC != nil {
		run(t, p.FromContainerTC, frame)
		return
	}
	const xdpPass = 2
	if result, out := run(t, p.FromContainer, frame); result == xdpPass {
		run(t, p.FixUpChecksum, out)
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

// needMode skips the test where Mode.Check refuses the mode.
func needMode(t *testing.T, mode Mode) {
	t.Helper()
	switch {
	case mode == Generic && IsRealTime():
		t.Skip("mode generic is refused on PREEMPT_RT")
	case mode.isNative() && kernelSKB() == nil:
		t.Skip("mode native needs Linux 6.3, with BTF")
	case mode.isNative():
		devices(t, 700) // the type information of veth is there with the first one
	}
}

// stayOnCPU keeps XDP and tc of a packet on one CPU.
func stayOnCPU(t testing.TB) {
	t.Helper()
	leave, err := affinity.Stay()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
}

// letJiffyPass waits until packets are later than those before, by the clock that
// programs have for flows. A busy machine may not move it for long.
func letJiffyPass(t *testing.T) {
	t.Helper()
	clock, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.FnJiffies64.Call(), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer clock.Close()
	now := func() uint32 {
		jiffies, _ := run(t, clock, make([]byte, 64))
		return jiffies
	}
	for start := now(); now() == start; {
		time.Sleep(time.Millisecond)
	}
}

func udp(from netip.Addr, fromPort uint16, to netip.Addr, toPort uint16) packet.Packet {
	return packet.Packet{Source: from, Destination: to, Load: packet.UDP{
		Source: fromPort, Destination: toPort, Payload: []byte("payload"),
	}}
}

func ends(from netip.Addr, fromPort uint16, to netip.Addr, toPort uint16) Endpoints {
	return Endpoints{netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)}
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
