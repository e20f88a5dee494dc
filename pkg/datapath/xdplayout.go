package datapath

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// What of the kernel XDP uses in native mode to get at the skb of a packet,
// bpf/skb.h.
const (
	readOnlyCast = "bpf_rdonly_cast" // kernel/bpf/helpers.c, Linux 6.2
	vethBuff     = "veth_xdp_buff"   // drivers/net/veth.c, Linux 6.3
	skbPointer   = "sk_buff_head"    // its first member is a pointer to an skb
	vlanTag      = "vlan_all"        // of struct sk_buff, Linux 6.2
)

// xdpAccess is what the XDP program needs to find the skb behind a packet, or why
// that cannot be had.
type xdpAccess struct {
	cast   int64 // the BTF type of readOnlyCast
	layout programsXdpLayout
	err    error
}

// kernelXDP returns what the running kernel says of veth's XDP buffers. The answer
// may get more exact when the first veth is made, which loads the module.
func kernelXDP() xdpAccess {
	access := xdpAccess{}
	if access.err = readsSKB.Check(); access.err != nil {
		return access
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		access.err = fmt.Errorf("read the kernel's BTF: %w", err)
		return access
	}
	access, access.err = findXDP(kernel)
	return access
}

func findXDP(kernel *btf.Spec) (xdpAccess, error) {
	var cast *btf.Func
	var pointer, skb *btf.Struct
	err := errors.Join(
		kernel.TypeByName(readOnlyCast, &cast), kernel.TypeByName(skbPointer, &pointer),
		kernel.TypeByName("sk_buff", &skb),
	)
	if err != nil {
		return xdpAccess{}, lacksXDP(err)
	}
	if _, found := memberAt(skb.Members, vlanTag); !found {
		return xdpAccess{}, lacksXDP(errors.New("struct sk_buff has no member " + vlanTag))
	}
	castID, errCast := kernel.TypeID(cast)
	pointerID, errPointer := kernel.TypeID(pointer)
	offset, errBuff := skbOffset(kernel)
	return xdpAccess{
		cast:   int64(castID),
		layout: programsXdpLayout{Skb: offset, PointerType: uint32(pointerID)},
	}, errors.Join(errCast, errPointer, errBuff)
}

func lacksXDP(err error) error {
	return fmt.Errorf("the kernel lacks struct %s and its BTF, Linux 6.3 or later has them: %w: %w",
		vethBuff, ebpf.ErrNotSupported, err)
}

// skbOffset returns where struct veth_xdp_buff, which begins with the struct
// xdp_buff, has the pointer to the skb, in bytes.
func skbOffset(kernel *btf.Spec) (uint32, error) {
	buff, err := findVethBuff(kernel)
	if errors.Is(err, os.ErrNotExist) && !isLoaded("veth") {
		return likelyOffset(kernel)
	}
	if err != nil {
		return 0, lacksXDP(err)
	}
	first, found := memberAt(buff.Members, "xdp")
	if !found || first != 0 {
		return 0, lacksXDP(fmt.Errorf("struct %s does not begin with xdp", vethBuff))
	}
	offset, found := memberAt(buff.Members, "skb")
	if !found {
		return 0, lacksXDP(fmt.Errorf("struct %s has no member skb", vethBuff))
	}
	return offset / 8, nil
}

// isLoaded tells whether a module of the kernel is.
func isLoaded(module string) bool {
	_, err := os.Stat("/sys/module/" + module)
	return err == nil
}

// likelyOffset is the offset on a machine that has had no veth yet: the pointer is
// right behind the struct xdp_buff, in kernels that have metadata of XDP.
func likelyOffset(kernel *btf.Spec) (uint32, error) {
	var buff, metadata *btf.Struct
	if err := errors.Join(kernel.TypeByName("xdp_buff", &buff), kernel.TypeByName("xdp_metadata_ops", &metadata)); err != nil {
		return 0, lacksXDP(err)
	}
	return buff.Size, nil
}

// findVethBuff looks in the module's BTF where veth is one.
func findVethBuff(kernel *btf.Spec) (*btf.Struct, error) {
	var buff *btf.Struct
	err := kernel.TypeByName(vethBuff, &buff)
	if !errors.Is(err, btf.ErrNotFound) {
		return buff, err
	}
	module, err := btf.LoadKernelModuleSpec("veth")
	if err != nil {
		return nil, err
	}
	return buff, module.TypeByName(vethBuff, &buff)
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
