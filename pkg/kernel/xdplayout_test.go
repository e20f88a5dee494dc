package kernel

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
)

// kernelTypes are those that findXDP always needs.
func kernelTypes() []btf.Type {
	number := &btf.Int{Name: "u32", Size: 4}
	return []btf.Type{
		&btf.Struct{Name: "sk_buff", Size: 4, Members: []btf.Member{{Name: vlanTag, Type: number}}},
		&btf.Func{Name: CastReadOnly, Type: &btf.FuncProto{Return: &btf.Void{}}},
		&btf.Struct{Name: skbPointer, Size: 4, Members: []btf.Member{{Name: "next", Type: number}}},
		&btf.Struct{Name: "xdp_metadata_ops", Size: 4, Members: []btf.Member{{Name: "hash", Type: number}}},
		xdpBuff(),
	}
}

func xdpBuff() *btf.Struct {
	return &btf.Struct{Name: "xdp_buff", Size: 56, Members: []btf.Member{
		{Name: "data", Type: &btf.Pointer{Target: &btf.Void{}}},
	}}
}

// btfOf makes the BTF of types, and parses it.
func btfOf(t *testing.T, types ...btf.Type) *btfTypes {
	t.Helper()
	builder, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := builder.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parseBTF(blob)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func vethBuffOf(members ...btf.Member) *btf.Struct {
	return &btf.Struct{Name: vethBuff, Size: 80, Members: members}
}

func soundVethBuff() *btf.Struct {
	return vethBuffOf(
		btf.Member{Name: "xdp", Type: xdpBuff()},
		btf.Member{Name: "skb", Type: &btf.Pointer{Target: &btf.Void{}}, Offset: 56 * 8})
}

func TestFindXDP(t *testing.T) {
	access, isExact, err := findXDP(btfOf(t, append(kernelTypes(), soundVethBuff())...), nil, true)
	if err != nil || !isExact {
		t.Fatal(isExact, err)
	}
	if access.Layout.Skb != 56 || access.Cast == 0 || access.Layout.PointerType == 0 {
		t.Errorf("found %+v", access)
	}
}

// TestFindXDPWithoutVeth guesses as long as there is no veth, and then no more.
func TestFindXDPWithoutVeth(t *testing.T) {
	kernel := btfOf(t, kernelTypes()...)
	if access, isExact, err := findXDP(kernel, nil, false); err != nil || isExact || access.Layout.Skb != 56 {
		t.Errorf("found %+v, exact %t, %v", access, isExact, err)
	}
	if _, _, err := findXDP(kernel, nil, true); err == nil {
		t.Error("a module without BTF is guessed at")
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
		if access, _, err := findXDP(btfOf(t, append(kernelTypes(), buff)...), nil, true); err == nil {
			t.Errorf("%s: found %+v", name, access)
		}
	}
}

// TestFindXDPLikeLibrary has the running kernel's BTF, and that of veth where it is a
// module, say the same as the library reads in it.
func TestFindXDPLikeLibrary(t *testing.T) {
	bpftest.Devices(t, 5) // which loads the module
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skip("the kernel has no BTF: ", err)
	}
	var buff *btf.Struct
	if err := kernel.TypeByName(vethBuff, &buff); err != nil {
		module, err := btf.LoadKernelModuleSpec("veth")
		if err != nil {
			t.Skip("veth has no BTF: ", err)
		}
		if err := module.TypeByName(vethBuff, &buff); err != nil {
			t.Skip("since Linux 6.3: ", err)
		}
	}
	access, err := XDP()
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range buff.Members {
		if member.Name == "skb" && member.Offset.Bytes() != access.Layout.Skb {
			t.Errorf("found the skb at %d, the library at %d", access.Layout.Skb, member.Offset.Bytes())
		}
	}
	var pointer *btf.Struct
	if err := kernel.TypeByName(skbPointer, &pointer); err != nil {
		t.Fatal(err)
	}
	if id, err := kernel.TypeID(pointer); err != nil || uint32(id) != access.Layout.PointerType {
		t.Errorf("found struct %s as %d, the library as %d, %v", skbPointer, access.Layout.PointerType, id, err)
	}
}
