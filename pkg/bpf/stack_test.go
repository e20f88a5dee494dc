package bpf

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// maxStack is what the functions of a program that call each other may have together
// (MAX_BPF_STACK), each rounded up to roundStack before Linux 6.8.
const maxStack, roundStack = 512, 32

// TestStackFits adds up the stacks along the calls of each program as old kernels do:
// this one may round them to less.
func TestStackFits(t *testing.T) {
	spec, err := LoadPrograms()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range spec.Programs {
		functions := functionsOf(program.Instructions)
		chain, depth := deepest(functions, program.Instructions[0].Symbol())
		if depth > maxStack {
			t.Errorf("%s: %d bytes by %v", name, depth, chain)
		}
		t.Logf("%s: %d bytes by %v", name, depth, chain)
	}
}

type function struct {
	stack int
	calls []string
}

// functionsOf finds how much stack each function has, and which others it calls.
func functionsOf(instructions asm.Instructions) map[string]*function {
	functions := map[string]*function{}
	var current *function
	var isStack [16]bool
	for _, ins := range instructions {
		if symbol := ins.Symbol(); symbol != "" && functions[symbol] == nil {
			current = &function{}
			functions[symbol] = current
			isStack = [16]bool{}
		}
		use := func(offset int) { current.stack = max(current.stack, -offset) }
		switch class := ins.OpCode.Class(); {
		case ins.IsFunctionCall():
			current.calls = append(current.calls, ins.Reference())
		case class == asm.LdXClass && ins.Src == asm.R10, class.IsStore() && ins.Dst == asm.R10:
			use(int(ins.Offset))
		case class.IsALU() && ins.OpCode.ALUOp() == asm.Mov && ins.OpCode.Source() == asm.RegSource:
			isStack[ins.Dst] = ins.Src == asm.R10
			continue
		case class.IsALU() && ins.OpCode.ALUOp() == asm.Add && isStack[ins.Dst]:
			use(int(ins.Constant))
		}
		if class := ins.OpCode.Class(); class.IsALU() || class.IsLoad() {
			isStack[ins.Dst] = false
		}
	}
	return functions
}

// deepest returns the calls from a function that need the most stack, and how much.
func deepest(functions map[string]*function, name string) (chain []string, depth int) {
	f := functions[name]
	if f == nil {
		return []string{name + "?"}, 0
	}
	for _, call := range slices.Compact(slices.Sorted(slices.Values(f.calls))) {
		if c, d := deepest(functions, call); d > depth {
			chain, depth = c, d
		}
	}
	rounded := (max(f.stack, 1) + roundStack - 1) / roundStack * roundStack
	return append([]string{name}, chain...), depth + rounded
}
