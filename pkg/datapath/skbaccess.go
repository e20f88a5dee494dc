package datapath

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/kernel"
)

// readSKB lets the programs read what an skb says of its checksum, or tells them
// to do without.
func readSKB(spec *ebpf.CollectionSpec, access *kernel.SKBAccess, mode Mode) error {
	calls := map[string]int64{}
	var layout bpf.ProgramsSkbLayout
	var xdp bpf.ProgramsXdpLayout
	if access != nil {
		layout, calls[kernel.CastToKernel] = access.Layout, access.Cast
	}
	if mode.isNative() {
		found, err := kernel.XDP()
		if err != nil {
			return err
		}
		xdp, calls[kernel.CastReadOnly] = found.Layout, found.Cast
	}
	callKernel(spec, calls)
	return errors.Join(
		spec.Variables[bpf.ProgramsVarSkbLayout].Set(layout),
		spec.Variables[bpf.ProgramsVarReadsSkb].Set(bpf.Bool(access != nil)),
		spec.Variables[bpf.ProgramsVarXdpLayout].Set(xdp),
	)
}

// callKernel fills the BTF types of the kernel's functions into the calls.
// Functions that are not named are never called: the verifier does not get there,
// but wants another instruction in place of the call.
func callKernel(spec *ebpf.CollectionSpec, types map[string]int64) {
	for _, program := range spec.Programs {
		for i := range program.Instructions {
			instruction := &program.Instructions[i]
			if !instruction.IsKfuncCall() {
				continue
			}
			call := asm.Mov.Imm(asm.R0, 0)
			if id, found := types[instruction.Reference()]; found {
				call = asm.Instruction{
					OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call),
					Src:    asm.PseudoKfuncCall, Constant: id,
				}
			}
			*instruction = call
		}
	}
}

func noSKB() *kernel.SKBAccess { return nil }
