package datapath

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// kernelWith makes the BTF of a kernel that has these types beside those that
// findXDP always needs.
func kernelWith(t *testing.T, types ...btf.Type) *btf.Spec {
	t.Helper()
	number := &btf.Int{Name: "u32", Size: 4}
	skb := &btf.Struct{Name: "sk_buff", Size: 4, Members: []btf.Member{{Name: vlanTag, Type: number}}}
	cast := &btf.Func{Name: readOnlyCast, Type: &btf.FuncProto{Return: &btf.Void{}}}
	types = append(types, skb, cast, &btf.Struct{Name: skbPointer, Size: 4, Members: []btf.Member{{Name: "next", Type: number}}})
	builder, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := builder.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func vethBuffOf(members ...btf.Member) *btf.Struct {
	return &btf.Struct{Name: vethBuff, Size: 64, Members: members}
}

func TestFindXDP(t *testing.T) {
	pointer := &btf.Pointer{Target: &btf.Void{}}
	begin := btf.Member{Name: "xdp", Type: &btf.Struct{Name: "xdp_buff", Size: 56, Members: []btf.Member{{Name: "data", Type: pointer}}}}
	found, err := findXDP(kernelWith(t, vethBuffOf(begin, btf.Member{Name: "skb", Type: pointer, Offset: 56 * 8})))
	if err != nil {
		t.Fatal(err)
	}
	if found.layout.Skb != 56 || found.cast == 0 || found.layout.PointerType == 0 {
		t.Errorf("found %+v", found)
	}
}

// TestFindXDPElsewhere has veth keep the skb in other ways than the program reads it.
func TestFindXDPElsewhere(t *testing.T) {
	pointer := &btf.Pointer{Target: &btf.Void{}}
	for name, buff := range map[string]*btf.Struct{
		"no skb":         vethBuffOf(btf.Member{Name: "xdp", Type: pointer}),
		"no XDP buffer":  vethBuffOf(btf.Member{Name: "skb", Type: pointer}),
		"another before": vethBuffOf(btf.Member{Name: "skb", Type: pointer}, btf.Member{Name: "xdp", Type: pointer, Offset: 64}),
	} {
		if found, err := findXDP(kernelWith(t, buff)); !errors.Is(err, ebpf.ErrNotSupported) {
			t.Errorf("%s: found %+v, %v", name, found, err)
		}
	}
}
