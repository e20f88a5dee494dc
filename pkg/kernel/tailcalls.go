package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TailCalls is what programs need to hand packets over to those of another ruleset.
var TailCalls = Feature{
	Name: "tail calls from programs with functions", Since: "5.10",
	Otherwise: "the rules of a running container are exchanged hook by hook",
	Probe:     probeTailCalls,
}

// probeTailCalls loads a program of two functions with a tail call. It takes a
// JIT compiler that can do both (arm64: Linux 6.0).
func probeTailCalls() error {
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return err
	}
	defer table.Close()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.Call.Label("function"),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, table.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnTailCall.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("function"),
			asm.Return(),
		},
	})
	if err != nil {
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
		}
		return err
	}
	return program.Close()
}
