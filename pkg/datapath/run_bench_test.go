package datapath_test

import (
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// BenchmarkRun runs the programs alone. What an empty program takes is part of
// each figure: that of the caller, which lays the packet out as it was.
func BenchmarkRun(b *testing.B) {
	bpftest.StayOnCPU(b)
	v4 := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7999)
	v6 := bpftest.UDP(netip.MustParseAddr("fd00:88::2"), 4000, netip.MustParseAddr("fd00:99::2"), 7999)
	tcp := v4
	tcp.Load = packet.TCP{Source: 4000, Destination: 7999, Flags: 16}
	missV6, tagged, missTagged := v6, v4, v4
	missV6.Load = packet.UDP{Source: 4000, Destination: 53}
	missTagged.Load = packet.UDP{Source: 4000, Destination: 53}
	tagged.Tags = []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 7}}
	missTagged.Tags = tagged.Tags
	miss, samePage := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 53), bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7990)
	reply := bpftest.UDP(bpftest.Outside, 7998, bpftest.Inside, 4000)
	for _, mode := range []datapath.Mode{datapath.Generic, datapath.TC} {
		p := benchPrograms(b, mode)
		program := p.FromContainer
		if mode == datapath.TC {
			program = p.FromContainerTC
		}
		b.Run(mode.String()+"/empty", func(b *testing.B) { benchmark(b, emptyProgram(b, program.Type()), v4) })
		b.Run(mode.String()+"/match IPv4", func(b *testing.B) { benchmark(b, program, v4) })
		b.Run(mode.String()+"/match IPv6", func(b *testing.B) { benchmark(b, program, v6) })
		establish(b, program, p.ToContainer)
		b.Run(mode.String()+"/match TCP", func(b *testing.B) { benchmark(b, program, tcp) })
		b.Run(mode.String()+"/first of a flow", func(b *testing.B) { firstOfFlow(b, program, v4) })
		b.Run(mode.String()+"/miss", func(b *testing.B) { benchmark(b, program, miss) })
		b.Run(mode.String()+"/miss IPv6", func(b *testing.B) { benchmark(b, program, missV6) })
		b.Run(mode.String()+"/match VLAN", func(b *testing.B) { benchmark(b, program, tagged) })
		b.Run(mode.String()+"/miss VLAN", func(b *testing.B) { benchmark(b, program, missTagged) })
		b.Run(mode.String()+"/miss, same page", func(b *testing.B) { benchmark(b, program, samePage) })
		if mode == datapath.TC {
			moved := bpftest.UDP(bpftest.Inside, 4000, bpftest.Outside, 7998) // 7999 has those ports
			b.Run("tc/match, source port changed", func(b *testing.B) { benchmark(b, program, moved) })
			b.Run("tc/reply", func(b *testing.B) { benchmark(b, p.ToContainer, reply) })
			b.Run("tc/ingress miss", func(b *testing.B) {
				benchmark(b, p.ToContainer, bpftest.UDP(bpftest.Outside, 53, bpftest.Inside, 4000))
			})
		}
	}
}

// establish has a TCP connection be established.
func establish(b *testing.B, fromContainer, toContainer *ebpf.Program) {
	for _, segment := range []struct {
		program  *ebpf.Program
		from, to netip.Addr
		load     packet.TCP
	}{
		{fromContainer, bpftest.Inside, bpftest.Outside, packet.TCP{Source: 4000, Destination: 7999, Flags: 2}},
		{toContainer, bpftest.Outside, bpftest.Inside, packet.TCP{Source: 7998, Destination: 4000, Flags: 18}},
		{fromContainer, bpftest.Inside, bpftest.Outside, packet.TCP{Source: 4000, Destination: 7999, Flags: 16, Acknowledged: 1}},
	} {
		p := packet.Packet{Source: segment.from, Destination: segment.to, Load: segment.load}
		if _, err := segment.program.Run(&ebpf.RunOptions{Data: p.Bytes(), DataOut: make([]byte, 256)}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchPrograms(b *testing.B, mode datapath.Mode) *datapath.Programs {
	rs := programtest.TraceRules()
	rs.Mode = mode
	rs.Flows = 65536
	rs.Rules = append(rs.Rules, rules.Rule{
		Name: "tcp", Protocol: rules.TCP, Ports: rules.PortRange{First: 7999, Last: 7999}, To: rules.PortRange{First: 7998, Last: 7998},
	})
	p := programtest.MustLoad(b, rs)
	if err := p.Activate(bpftest.Loopback); err != nil {
		b.Fatal(err)
	}
	return p
}

func emptyProgram(b *testing.B, kind ebpf.ProgramType) *ebpf.Program {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: kind, AttachType: bpftest.AttachTypeOf(kind), License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { program.Close() })
	return program
}

// firstOfFlow measures packets each of which is from another port, to another peer.
func firstOfFlow(b *testing.B, program *ebpf.Program, p packet.Packet) {
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer table.Close()
	const peer, source = 14 + 18, 14 + 20
	again := bpftest.ResetAndCall(table, program.Type(), p)
	call := again[len(again)-5:] // the tail call, and what is behind it
	instructions := append(asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.FnGetPrandomU32.Call(), asm.Mov.Reg(asm.R1, asm.R6),
	}, again[:len(again)-5]...)
	instructions = append(instructions,
		asm.StoreMem(asm.R2, source, asm.R0, asm.Half), asm.RSh.Imm(asm.R0, 16), asm.StoreMem(asm.R2, peer, asm.R0, asm.Half))
	caller, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: program.Type(), AttachType: bpftest.AttachTypeOf(program.Type()), License: "Dual BSD/GPL",
		Instructions: append(instructions, call...),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer caller.Close()
	if err := table.Put(uint32(0), program); err != nil {
		b.Fatal(err)
	}
	_, took, err := caller.Benchmark(p.Bytes(), b.N, b.ResetTimer)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(took.Nanoseconds()), "ns/packet")
}

func benchmark(b *testing.B, program *ebpf.Program, p packet.Packet) {
	_, took, err := bpftest.Repeatable(b, program, p).Benchmark(p.Bytes(), b.N, b.ResetTimer)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(took.Nanoseconds()), "ns/packet")
}
