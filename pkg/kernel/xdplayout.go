package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// What of the kernel XDP uses in native mode to get at the skb of a packet,
// bpf/skb.h.
const (
	CastReadOnly = "bpf_rdonly_cast" // kernel/bpf/helpers.c, Linux 6.2
	vethBuff     = "veth_xdp_buff"   // drivers/net/veth.c, Linux 6.3
	skbPointer   = "sk_buff_head"    // its first member is a pointer to an skb
	vlanTag      = "vlan_all"        // of struct sk_buff, Linux 6.2
)

// XDPAccess is what the XDP program needs to find the skb behind a packet.
type XDPAccess struct {
	Cast   int64 // the BTF type of CastReadOnly
	Layout bpf.ProgramsXdpLayout
}

var exactXDP struct {
	sync.Mutex
	access *XDPAccess
}

// XDP returns what the running kernel says of veth's XDP buffers. Until there
// is a veth, which loads the module, that is a guess.
//
// Returns an error wrapping ebpf.ErrNotSupported if the kernel does not say enough.
func XDP() (*XDPAccess, error) {
	exactXDP.Lock()
	defer exactXDP.Unlock()
	if exactXDP.access != nil {
		return exactXDP.access, nil
	}
	kernel, err := readBTF("vmlinux", nil)
	if err != nil {
		return nil, lacksXDP(err)
	}
	module, err := readBTF("veth", kernel)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, lacksXDP(err)
	}
	access, isExact, err := findXDP(kernel, module, isLoaded("veth"))
	if err != nil {
		return nil, lacksXDP(err)
	}
	if isExact {
		exactXDP.access = access
	}
	return access, nil
}

func lacksXDP(err error) error {
	return fmt.Errorf("the kernel has no BTF that describes struct %s, Linux 6.3 or later has: %w: %w",
		vethBuff, ebpf.ErrNotSupported, err)
}

// readBTF reads the types of the kernel, or of one of its modules.
func readBTF(of string, kernel *btfTypes) (*btfTypes, error) {
	blob, err := os.ReadFile("/sys/kernel/btf/" + of)
	if err != nil {
		return nil, err
	}
	if kernel != nil {
		return parseModuleBTF(blob, kernel)
	}
	return parseBTF(blob)
}

// isLoaded reports whether a module of the kernel is.
func isLoaded(module string) bool {
	_, err := os.Stat("/sys/module/" + module)
	return err == nil
}

// findXDP looks for veth's buffer in the kernel's types or, where veth is a module,
// in that one's, nil if there are none.
func findXDP(kernel, module *btfTypes, hasVeth bool) (access *XDPAccess, isExact bool, err error) {
	cast, errCast := kernel.named(CastReadOnly, kindFunc)
	pointer, errPointer := kernel.named(skbPointer, kindStruct)
	skb, errSKB := kernel.named("sk_buff", kindStruct)
	if err := errors.Join(errCast, errPointer, errSKB); err != nil {
		return nil, false, err
	}
	if _, err := kernel.member(skb, vlanTag); err != nil {
		return nil, false, err
	}
	offset, isExact, err := skbOffset(kernel, module, hasVeth)
	return &XDPAccess{int64(cast), bpf.ProgramsXdpLayout{Skb: offset, PointerType: pointer}}, isExact, err
}

// skbOffset returns where struct veth_xdp_buff has the pointer to the skb, in bytes.
func skbOffset(kernel, module *btfTypes, hasVeth bool) (offset uint32, isExact bool, err error) {
	if buff, err := kernel.named(vethBuff, kindStruct); err == nil {
		offset, err := skbMember(kernel, buff)
		return offset, true, err
	}
	if module != nil {
		buff, err := module.named(vethBuff, kindStruct)
		if err != nil {
			return 0, false, err
		}
		offset, err := skbMember(module, buff)
		return offset, true, err
	}
	if hasVeth {
		return 0, false, errors.New("the module veth has no BTF")
	}
	offset, err = likelyOffset(kernel)
	return offset, false, err
}

// skbMember returns where the structure, which begins with a struct xdp_buff, has the
// pointer.
func skbMember(types *btfTypes, buff uint32) (uint32, error) {
	first, errFirst := types.member(buff, "xdp")
	pointer, errPointer := types.member(buff, "skb")
	if err := errors.Join(errFirst, errPointer); err != nil {
		return 0, err
	}
	if first != 0 {
		return 0, fmt.Errorf("struct %s does not begin with xdp", vethBuff)
	}
	return pointer / 8, nil
}

// likelyOffset is the offset on a machine that has had no veth yet: the pointer is
// right behind the struct xdp_buff, in kernels that have metadata of XDP.
func likelyOffset(kernel *btfTypes) (uint32, error) {
	buff, errBuff := kernel.named("xdp_buff", kindStruct)
	_, errMetadata := kernel.named("xdp_metadata_ops", kindStruct)
	if err := errors.Join(errBuff, errMetadata); err != nil {
		return 0, err
	}
	return kernel.size(buff), nil
}
