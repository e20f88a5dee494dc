package bpftest

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/xdp-port/xdp-port/test/packet"
)

// Repeatable returns a program that calls another one with the packet as it was,
// also where the kernel runs it again on what the last run made of it.
func Repeatable(t testing.TB, program *ebpf.Program, p packet.Packet) *ebpf.Program {
	t.Helper()
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	caller, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: program.Type(), AttachType: AttachTypeOf(program.Type()), License: "Dual BSD/GPL",
		Instructions: ResetAndCall(table, program.Type(), p),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { caller.Close() })
	if err := table.Put(uint32(0), program); err != nil {
		t.Fatal(err)
	}
	return caller
}

// AttachTypeOf is what Load gives the programs: only those of the same can call
// each other.
func AttachTypeOf(kind ebpf.ProgramType) ebpf.AttachType {
	if kind == ebpf.XDP {
		return ebpf.AttachXDP
	}
	return ebpf.AttachNone
}

// ResetAndCall writes the packet's ports, then calls the program in the table.
func ResetAndCall(table *ebpf.Map, kind ebpf.ProgramType, p packet.Packet) asm.Instructions {
	data, dataEnd := int16(0), int16(4) // struct xdp_md
	if kind == ebpf.SchedCLS {
		data, dataEnd = 76, 80 // struct __sk_buff
	}
	ports := p.TransportOffset()
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, data, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, dataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(ports)+4),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.StoreImm(asm.R2, int16(ports), int64(int32(binary.NativeEndian.Uint32(p.Bytes()[ports:]))), asm.Word),
		asm.LoadMapPtr(asm.R2, table.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	}
}
