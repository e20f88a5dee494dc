// Package programtest loads rulesets in tests and runs their programs.
package programtest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// Pinned loads a ruleset into a BPF file system of its own and enables it for loopback.
func Pinned(t *testing.T, rs *datapath.Ruleset, shared datapath.Shared) (*datapath.Programs, datapath.Dir) {
	t.Helper()
	dir := datapath.Dir(bpftest.BPFFS(t))
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := datapath.Load(rs, table, shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { programs.Close() })
	if err := errors.Join(programs.Pin(dir), programs.Activate(bpftest.Loopback)); err != nil {
		t.Fatal(err)
	}
	return programs, dir
}

// TraceRules are rules of each action and direction.
func TraceRules() *datapath.Ruleset {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	return &datapath.Ruleset{Mode: datapath.AutoMode(), Flows: 1024, Rules: []rules.Rule{
		{Name: "dns", Protocol: rules.UDP, Ports: port(7999), To: port(7998)},
		{Name: "mail", Protocol: rules.UDP, Ports: port(25), Action: rules.Drop},
		{Name: "web", Direction: rules.Ingress, Protocol: rules.UDP, Ports: port(80), To: port(8080)},
	}}
}

// Send runs a packet through the programs as the kernel does.
func Send(t *testing.T, p *datapath.Programs, direction rules.Direction, frame []byte) {
	t.Helper()
	if direction == rules.Ingress {
		bpftest.Run(t, p.ToContainer, frame)
		return
	}
	if p.FromContainerTC != nil {
		bpftest.Run(t, p.FromContainerTC, frame)
		return
	}
	const xdpPass = 2
	if result, out := bpftest.Run(t, p.FromContainer, frame); result == xdpPass {
		bpftest.Run(t, p.FixUpChecksum, out)
	}
}

// NeedMode skips the test where Mode.Check refuses the mode.
func NeedMode(t *testing.T, mode datapath.Mode) {
	t.Helper()
	bpftest.NeedRoot(t)
	switch {
	case mode == datapath.Generic && kernel.IsRealTime():
		t.Skip("mode generic is refused on PREEMPT_RT")
	case (mode == datapath.Native || mode == datapath.Offload) && kernel.SKB() == nil:
		t.Skip("mode native needs Linux 6.3, with BTF")
	case (mode == datapath.Native || mode == datapath.Offload):
		bpftest.Devices(t, 700) // the type information of veth is there with the first one
	}
}

// MustLoad loads a ruleset.
func MustLoad(t testing.TB, rs *datapath.Ruleset) *datapath.Programs {
	t.Helper()
	bpftest.NeedRoot(t)
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := datapath.Load(rs, table, datapath.Shared{})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { programs.Close() })
	return programs
}

// Sent returns what becomes of a packet that a container sends, at the hooks of
// the mode.
func Sent(t *testing.T, p *datapath.Programs, of packet.Packet) []byte {
	t.Helper()
	return SentFrame(t, p, of.Bytes())
}

// SentFrame is Sent for a frame.
func SentFrame(t *testing.T, p *datapath.Programs, frame []byte) []byte {
	t.Helper()
	if p.FromContainerTC != nil {
		_, out := bpftest.Run(t, p.FromContainerTC, frame)
		return out
	}
	_, out := bpftest.Run(t, p.FromContainer, frame)
	_, out = bpftest.Run(t, p.FixUpChecksum, out)
	return out
}

// Received returns what becomes of a packet that a container is sent.
func Received(t *testing.T, p *datapath.Programs, of packet.Packet) []byte {
	t.Helper()
	_, out := bpftest.Run(t, p.ToContainer, of.Bytes())
	return out
}

// Want compares a frame with the packet that it should be.
func Want(t *testing.T, what string, got []byte, after packet.Packet) {
	t.Helper()
	if !bytes.Equal(got, after.Bytes()) {
		t.Errorf("%s: became\n%x, should be\n%x", what, got, after.Bytes())
	}
}

// FlowPorts are rules by which two ports become the same one.
func FlowPorts(flows int) *datapath.Ruleset {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	return &datapath.Ruleset{Mode: datapath.TC, Flows: flows, Rules: []rules.Rule{
		{Name: "a", Protocol: rules.UDP, Ports: port(7999), To: port(7998)},
		{Name: "b", Protocol: rules.UDP, Ports: port(7997), To: port(7998)},
	}}
}

// EachMode runs a test in the modes that have a decision cache.
func EachMode(t *testing.T, test func(t *testing.T, mode datapath.Mode)) {
	for _, mode := range []datapath.Mode{datapath.Generic, datapath.TC} {
		t.Run(mode.String(), func(t *testing.T) {
			if kernel.IsRealTime() {
				t.Skip("there is no decision cache on PREEMPT_RT")
			}
			bpftest.StayOnCPU(t)
			test(t, mode)
		})
	}
}

// Flows opens the flows of a ruleset.
func Flows(t *testing.T, dir datapath.Dir) *ebpf.Map {
	t.Helper()
	flows, err := dir.OpenFlows()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { flows.Close() })
	return flows
}
