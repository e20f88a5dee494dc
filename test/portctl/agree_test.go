package portctl

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/plan"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/simulate"
	"github.com/xdp-port/xdp-port/test/affinity"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/packet"
)

// TestSimulatesTheKernel simulates 10,000 random packets under 100 random lists of rules,
// and runs the same packets through the programs in the kernel. One list in ten runs in XDP,
// because its test runs are slow.
func TestSimulatesTheKernel(t *testing.T) {
	const lists, packets = 100, 100
	n := node.ForTest(t)
	onOneCPU(t)
	random := rand.New(rand.NewPCG(10, 0o00))
	seen := map[string]int{}
	for i := range lists {
		about := randomRules(random)
		list := conflist("lab", about...)
		list["plugins"].([]any)[1].(object)["mode"] = map[bool]string{true: "generic", false: "tc"}[i%10 == 0]
		path := write(t, list)
		var asked []simulate.Packet
		var lines []string
		for j := range packets {
			p := randomPacket(random, pick(random, about), i*packets+j)
			asked = append(asked, p)
			lines = append(lines, p.String())
		}
		tool := node.ToolCommand(t, "test", path, "--packet", "-", "-o", "json")
		tool.Stdin = strings.NewReader(strings.Join(lines, "\n"))
		simulated := decodeList[verdict](t, runTool(t, n, tool).want(t, 0), "results")
		kernel := load(t, list)
		for j, p := range asked {
			if got := kernel.verdict(t, p); got != simulated[j].asKernel() {
				text, _ := json.MarshalIndent(list, "", " ")
				t.Fatalf("%s: the tool says %+v, the kernel did %+v, under\n%s", p, simulated[j], got, text)
			}
			seen[simulated[j].Verdict]++
		}
		kernel.Close()
	}
	t.Logf("%v", seen)
	for _, verdict := range []string{"rewritten", "dropped", "passed"} {
		if seen[verdict] < lists*packets/20 {
			t.Errorf("only %d packets were to %s", seen[verdict], verdict)
		}
	}
}

// verdict is a result of the tool.
type verdict struct {
	Verdict    string
	Definition *struct{ Index int }
	After      inspect.Ends
}

// done is what the kernel did: the rule that counted the packet, or -1, and the destination
// port afterwards.
type done struct {
	verdict string
	rule    int
	port    uint16
}

func (v verdict) asKernel() done {
	out := done{verdict: v.Verdict, rule: -1}
	if v.Definition != nil {
		out.rule = v.Definition.Index
	}
	if v.Verdict != "dropped" {
		out.port = v.After.Destination.Port()
	}
	return out
}

var randomPorts = []int{1, 25, 53, 80, 255, 256, 7998, 7999, 8000, 8080, 65280, 65535}

var randomPeers = []string{
	"10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "10.0.0.0/8", "0.0.0.0/0", "128.0.0.0/1",
	"fd00::/16", "fd00:1::/32", "fd00:1::3/128", "::/0", "8000::/1",
}

func pick[E any](r *rand.Rand, from []E) E { return from[r.IntN(len(from))] }

func randomRules(r *rand.Rand) []object {
	var list []object
	for range 1 + r.IntN(12) {
		rule := object{
			"direction": pick(r, []string{"egress", "ingress"}), "protocol": pick(r, []string{"tcp", "udp"}),
		}
		first := pick(r, randomPorts)
		last := min(65535, first+r.IntN(300))
		isRange := r.IntN(2) == 0 && last > first
		rule["port"] = first
		if isRange {
			rule["port"] = fmt.Sprintf("%d-%d", first, last)
		}
		switch r.IntN(4) {
		case 0:
			rule["action"] = "drop"
		case 1:
			rule["action"] = "pass"
		default:
			rule["toPort"] = 1 + (first+7*r.IntN(1000))%65535
			if to := 1 + r.IntN(60000); isRange && r.IntN(2) == 0 && to != first {
				rule["toPort"] = fmt.Sprintf("%d-%d", to, to+last-first)
			}
			if rule["toPort"] == first {
				rule["toPort"] = first - 1
			}
			if r.IntN(3) == 0 {
				rule["oneWay"] = true
			}
		}
		if r.IntN(2) == 0 {
			rule["cidrs"] = []string{pick(r, randomPeers)}
		}
		list = append(list, rule)
	}
	return list
}

// randomPacket mostly makes a packet that a rule matches. Each packet has a container address
// of its own, so that it is not a reply to another one.
func randomPacket(r *rand.Rand, about object, number int) simulate.Packet {
	container, peer := netip.AddrFrom4([4]byte{10, 200, byte(number >> 8), byte(number)}), netip.AddrFrom4([4]byte{
		pick(r, []byte{10, 200}), byte(1 + r.IntN(2)), byte(2 + r.IntN(2)), byte(3 + r.IntN(2)),
	})
	if r.IntN(2) == 0 {
		six := func(high uint16, low uint32) netip.Addr {
			var b [16]byte
			binary.BigEndian.PutUint16(b[:], high)
			binary.BigEndian.PutUint16(b[2:], uint16(1+r.IntN(2)))
			binary.BigEndian.PutUint32(b[12:], low)
			return netip.AddrFrom16(b)
		}
		container, peer = six(0xfd77, uint32(number)), six(pick(r, []uint16{0xfd00, 0x2001}), uint32(3+r.IntN(2)))
	}
	port := func() uint16 {
		if r.IntN(4) == 0 {
			return uint16(1 + r.IntN(65535))
		}
		return uint16(max(1, min(65535, pick(r, randomPorts)+r.IntN(300))))
	}
	target := port()
	p := simulate.Packet{
		Direction: pick(r, []rules.Direction{rules.Egress, rules.Ingress}),
		Protocol:  pick(r, []rules.Protocol{rules.TCP, rules.UDP}),
	}
	if r.IntN(4) > 0 {
		p.Direction = map[any]rules.Direction{"egress": rules.Egress, "ingress": rules.Ingress}[about["direction"]]
		p.Protocol = map[any]rules.Protocol{"tcp": rules.TCP, "udp": rules.UDP}[about["protocol"]]
		target = firstPort(about) + uint16(r.IntN(2))
	}
	inner, outer := netip.AddrPortFrom(container, port()), netip.AddrPortFrom(peer, target)
	if p.Direction == rules.Ingress {
		inner, outer = netip.AddrPortFrom(container, target), netip.AddrPortFrom(peer, port())
	}
	if p.Direction == rules.Egress {
		p.Source, p.Destination = inner, outer
	} else {
		p.Source, p.Destination = outer, inner
	}
	return p
}

func firstPort(rule object) (port uint16) {
	_, _ = fmt.Sscanf(fmt.Sprint(rule["port"]), "%d", &port)
	return port
}

// kernel is a loaded ruleset.
type kernel struct {
	*datapath.Programs
	before *datapath.Counters
}

// testDevice is the device of packets in test runs, lo.
const testDevice = 1

func load(t *testing.T, list object) *kernel {
	t.Helper()
	text, err := json.Marshal(list)
	must(t, err)
	parsed, err := config.ParseList(text)
	must(t, err)
	desired, err := plan.Of(parsed.Entries[0].Network)
	must(t, err)
	programs, err := datapath.Load(desired.Ruleset, desired.Table, datapath.Shared{})
	must(t, err)
	must(t, programs.Activate(testDevice))
	return &kernel{programs, &datapath.Counters{Rules: make([]datapath.RuleCounter, len(desired.Ruleset.Rules))}}
}

// onOneCPU runs XDP and tc for a packet on the same CPU, as the kernel does.
func onOneCPU(t *testing.T) {
	t.Helper()
	leave, err := affinity.Stay()
	must(t, err)
	t.Cleanup(leave)
}

// verdict runs a packet through the programs, and returns what became of it and which rule
// counted it.
func (k *kernel) verdict(t *testing.T, p simulate.Packet) done {
	t.Helper()
	description := packet.Packet{Source: p.Source.Addr(), Destination: p.Destination.Addr()}
	if p.Protocol == rules.UDP {
		description.Load = packet.UDP{Source: p.Source.Port(), Destination: p.Destination.Port(), Payload: []byte("payload")}
	} else {
		description.Load = packet.TCP{Source: p.Source.Port(), Destination: p.Destination.Port(), Payload: []byte("payload")}
	}
	frame, dropped := k.run(t, p.Direction, description.Bytes())
	out := done{verdict: "passed", rule: -1}
	counters, err := k.Counters(testDevice)
	must(t, err)
	for i, rule := range counters.Rules {
		if rule.Packets != k.before.Rules[i].Packets {
			out.rule = i
		}
	}
	if counters.Rewritten != k.before.Rewritten {
		out.verdict = "rewritten"
	}
	k.before = counters
	if dropped {
		out.verdict = "dropped"
		return out
	}
	out.port = binary.BigEndian.Uint16(frame[description.TransportOffset()+2:])
	return out
}

func (k *kernel) run(t *testing.T, direction rules.Direction, frame []byte) (out []byte, dropped bool) {
	t.Helper()
	const xdpPass, tcxNext = 2, ^uint32(0)
	steps := []struct {
		program *ebpf.Program
		passes  uint32
	}{{k.FromContainer, xdpPass}, {k.FixUpChecksum, tcxNext}, {k.FromContainerTC, tcxNext}}
	if direction == rules.Ingress {
		steps = steps[:1]
		steps[0].program, steps[0].passes = k.ToContainer, tcxNext
	}
	for _, step := range steps {
		if step.program == nil {
			continue
		}
		options := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
		result, err := step.program.Run(&options)
		must(t, err)
		if result != step.passes {
			return nil, true
		}
		frame = options.DataOut
	}
	return frame, false
}
