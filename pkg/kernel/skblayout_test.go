package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// TestFindSKB has the running kernel's BTF say the same as the library reads in it.
func TestFindSKB(t *testing.T) {
	blob, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the kernel has no BTF")
	}
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var cast *btf.Func
	if err := kernel.TypeByName(CastToKernel, &cast); errors.Is(err, btf.ErrNotFound) {
		if access, err := findSKB(blob); err == nil {
			t.Errorf("found %+v in a kernel without %s", access, CastToKernel)
		}
		t.Skip("the kernel lacks " + CastToKernel)
	} else if err != nil {
		t.Fatal(err)
	}
	id, err := kernel.TypeID(cast)
	if err != nil {
		t.Fatal(err)
	}
	var skb *btf.Struct
	if err := kernel.TypeByName("sk_buff", &skb); err != nil {
		t.Fatal(err)
	}
	bit := func(name string) uint32 {
		at, found := memberAt(skb.Members, name)
		if !found {
			t.Fatalf("the library finds no member %s", name)
		}
		return at
	}
	access, err := findSKB(blob)
	if err != nil {
		t.Fatal(err)
	}
	want := SKBAccess{int64(id), bpf.ProgramsSkbLayout{
		IpSummed: bit("ip_summed") / 8, IpSummedShift: bit("ip_summed") % 8,
		CsumStart: bit("csum_start") / 8, CsumOffset: bit("csum_offset") / 8,
		MacHeader: bit("mac_header") / 8, VlanAll: bit(vlanTag) / 8,
	}}
	if *access != want {
		t.Errorf("found %+v, the library %+v", *access, want)
	}
}

// TestContentsOfBTF reads the kernel's BTF in both ways.
func TestContentsOfBTF(t *testing.T) {
	const path = "/sys/kernel/btf/vmlinux"
	want, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the kernel has no BTF")
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, done, err := contents(file)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, should be %d", len(got), len(want))
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := readAtOnce(file, int64(len(want))); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes at once, %v, should be %d", len(got), err, len(want))
	}
}

// smallBTF has what findSKB looks for, and little else.
func smallBTF(t testing.TB) []byte {
	t.Helper()
	number := &btf.Int{Name: "u16", Size: 2}
	pointer := &btf.Pointer{Target: &btf.Void{}}
	skb := &btf.Struct{Name: "sk_buff", Size: 32, Members: []btf.Member{
		{Name: "head", Type: pointer},
		{Name: "vlan_all", Type: number, Offset: 64},
		{Name: "mac_header", Type: number, Offset: 80},
		{Type: &btf.Union{Size: 4, Members: []btf.Member{
			{Type: &btf.Struct{Size: 4, Members: []btf.Member{
				{Name: "csum_start", Type: number},
				{Name: "csum_offset", Type: number, Offset: 16},
			}}},
		}}, Offset: 128},
		{Name: "ip_summed", Type: number, Offset: 165, BitfieldSize: 2},
	}}
	builder, err := btf.NewBuilder([]btf.Type{skb, &btf.Func{Name: CastToKernel, Type: &btf.FuncProto{Return: pointer}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := builder.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func TestFindSKBInNestedStructures(t *testing.T) {
	access, err := findSKB(smallBTF(t))
	if err != nil {
		t.Fatal(err)
	}
	want := bpf.ProgramsSkbLayout{IpSummed: 20, IpSummedShift: 5, CsumStart: 16, CsumOffset: 18, MacHeader: 10, VlanAll: 8}
	if access.Layout != want {
		t.Errorf("found %+v, should be %+v", access.Layout, want)
	}
}

// TestFindSKBInUnknownKinds has types of a kind that nobody knows the length of:
// what is behind them is not guessed.
func TestFindSKBInUnknownKinds(t *testing.T) {
	blob := smallBTF(t)
	kind := blob[binary.NativeEndian.Uint32(blob[4:])+4:]
	binary.NativeEndian.PutUint32(kind, 31<<24)
	if access, err := findSKB(blob); !errors.Is(err, errBTF) {
		t.Errorf("%+v, %v", access, err)
	}
}

// FuzzFindSKB wants no BTF, however damaged, to do more than to be of no use.
func FuzzFindSKB(f *testing.F) {
	f.Add(smallBTF(f))
	f.Fuzz(wantAccessOrError)
}

func wantAccessOrError(t *testing.T, blob []byte) {
	access, err := findSKB(blob)
	if (access == nil) == (err == nil) {
		t.Errorf("%+v, %v of %x", access, err, blob)
	}
}

// TestFindSKBInDamagedBTF cuts a BTF off everywhere, also so that its header says
// so, and puts other bytes into it everywhere.
func TestFindSKBInDamagedBTF(t *testing.T) {
	blob := smallBTF(t)
	for end := range len(blob) + 1 {
		wantAccessOrError(t, blob[:end])
		if end < 24 {
			continue
		}
		cut := slices.Clone(blob[:end])
		rest := uint32(end - 24)
		types := min(binary.NativeEndian.Uint32(blob[12:]), rest)
		binary.NativeEndian.PutUint32(cut[12:], types)
		binary.NativeEndian.PutUint32(cut[16:], types)
		binary.NativeEndian.PutUint32(cut[20:], rest-types)
		wantAccessOrError(t, cut)
	}
	for at := range blob {
		for _, value := range []byte{0, 1, 0x7f, 0xff} {
			damaged := slices.Clone(blob)
			damaged[at] = value
			wantAccessOrError(t, damaged)
		}
	}
}

// memberAt returns where a member begins, in bits, also one of unnamed structures.
func memberAt(members []btf.Member, name string) (bit uint32, found bool) {
	for _, member := range members {
		if member.Name == name {
			return uint32(member.Offset), true
		}
		if member.Name != "" {
			continue
		}
		if bit, found := memberAt(membersOf(member.Type), name); found {
			return uint32(member.Offset) + bit, true
		}
	}
	return 0, false
}

func membersOf(unnamed btf.Type) []btf.Member {
	switch unnamed := unnamed.(type) {
	case *btf.Struct:
		return unnamed.Members
	case *btf.Union:
		return unnamed.Members
	}
	return nil
}
