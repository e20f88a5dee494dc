package node

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
)

// TCPrograms returns the programs at a device's tc hooks, attached by tcx or as
// filters of clsact.
func TCPrograms(device netlink.Link) (ids []ebpf.ProgramID, err error) {
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		attached, err := tcxPrograms(device, at)
		if err != nil {
			return nil, err
		}
		for _, program := range attached {
			ids = append(ids, program.ID)
		}
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlinksafe.FilterList(device, parent)
		if err != nil {
			return nil, err
		}
		for _, filter := range filters {
			if program, is := filter.(*netlink.BpfFilter); is {
				ids = append(ids, ebpf.ProgramID(program.Id))
			}
		}
	}
	return ids, nil
}

// tcxPrograms returns the programs at a tcx hook. Kernels before 6.6 have none.
func tcxPrograms(device netlink.Link, at ebpf.AttachType) ([]link.AttachedProgram, error) {
	if has, err := kernelHas(6, 6); !has {
		return nil, err
	}
	found, err := link.QueryPrograms(link.QueryOptions{Target: device.Attrs().Index, Attach: at})
	if err != nil {
		return nil, err
	}
	return found.Programs, nil
}
