package bpf

import (
	"testing"

	"github.com/cilium/ebpf/btf"
)

// TestArgumentsHaveNoHoles looks for bytes that no member of a function's argument
// has: nobody writes them where the argument is on the stack, and verifiers of old
// kernels (5.15, say) refuse to hand over what was not written.
func TestArgumentsHaveNoHoles(t *testing.T) {
	spec, err := LoadPrograms()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for all, err := range spec.Types.All() {
		if err != nil {
			t.Fatal(err)
		}
		function, ok := all.(*btf.Func)
		if !ok || function.Linkage != btf.GlobalFunc {
			continue
		}
		for _, parameter := range function.Type.(*btf.FuncProto).Params {
			pointer, ok := btf.UnderlyingType(parameter.Type).(*btf.Pointer)
			if !ok {
				continue
			}
			argument, ok := btf.UnderlyingType(pointer.Target).(*btf.Struct)
			if !ok || seen[argument.Name] || isContext[argument.Name] {
				continue
			}
			seen[argument.Name] = true
			if hole, found := firstHole(argument); found {
				t.Errorf("struct %s, an argument of %s, has nothing at byte %d", argument.Name, function.Name, hole)
			}
		}
	}
	if !seen["flow_id"] || !seen["packet"] {
		t.Errorf("only %v were looked at", seen)
	}
}

// isContext has what the kernel hands to programs.
var isContext = map[string]bool{"xdp_md": true, "__sk_buff": true}

func firstHole(s *btf.Struct) (at uint32, found bool) {
	for _, member := range s.Members {
		begin := member.Offset.Bytes()
		if begin != at {
			return at, true
		}
		if inner, ok := btf.UnderlyingType(member.Type).(*btf.Struct); ok {
			if hole, found := firstHole(inner); found {
				return begin + hole, true
			}
		}
		size, err := btf.Sizeof(member.Type)
		if err != nil {
			return at, true
		}
		at = begin + uint32(size)
	}
	return at, at != s.Size
}
