package main

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/pkg/veth"
	"github.com/xdp-port/xdp-port/test/node"
)

// showAttachments prints what is attached to the container's host side.
func (s *story) showAttachments(c *node.Container) error {
	return s.node.NS.Do(func(ns.NetNS) error {
		pair, err := veth.HostSide(c.NS.Path(), c.IfName)
		if err != nil {
			return err
		}
		say("   attached to %s, the host side of eth0:", pair.Host.Name)
		if err := showXDP(pair.Host.Index); err != nil {
			return err
		}
		return showTCX(pair.Host.Index)
	})
}

func showXDP(index int) error {
	device, err := netlink.LinkByIndex(index)
	if err != nil {
		return err
	}
	xdp := device.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return fmt.Errorf("%s has no XDP program", device.Attrs().Name)
	}
	modes := map[uint32]string{1: "native", 2: "generic", 3: "offload"} // XDP_ATTACHED_*
	return show("XDP, "+modes[xdp.AttachMode], ebpf.ProgramID(xdp.ProgId))
}

func showTCX(index int) error {
	for _, hook := range []struct {
		name string
		at   ebpf.AttachType
	}{
		{"tcx ingress", ebpf.AttachTCXIngress},
		{"tcx egress", ebpf.AttachTCXEgress},
	} {
		attached, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: hook.at})
		if err != nil {
			say("     %-14s not on this kernel: clsact filters instead", hook.name)
			continue
		}
		for _, program := range attached.Programs {
			if err := show(hook.name, program.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func show(where string, id ebpf.ProgramID) error {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return err
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return err
	}
	say("     %-14s program %s (id %d)", where, info.Name, id)
	return nil
}
