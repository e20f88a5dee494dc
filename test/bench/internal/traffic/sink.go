package traffic

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Sink consumes all UDP packets that arrive at a device, at tc ingress, and counts them by
// family and destination port. Other packets pass.
type Sink struct {
	arrived *ebpf.Map
}

// Offsets in an Ethernet frame with an IPv4 header without options, or an IPv6 header without
// extensions.
const (
	etherType       = 12
	protocolIPv4    = 23
	protocolIPv6    = 20
	destinationIPv4 = 36
	destinationIPv6 = 56
)

// The counters of IPv6 follow those of IPv4.
const ports = 1 << 16

// NewSink attaches a sink to a device of a namespace. It goes with the device.
func NewSink(in ns.NetNS, device string) (*Sink, error) {
	arrived, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "arrived", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2 * ports,
	})
	if err != nil {
		return nil, fmt.Errorf("make the sink's counters: %w", err)
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "sink", Type: ebpf.SchedCLS, License: "Dual BSD/GPL", Instructions: sinkProgram(arrived),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load the sink: %w", err), arrived.Close())
	}
	defer program.Close()
	err = in.Do(func(ns.NetNS) error { return attachIngress(device, program) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach the sink to %s: %w", device, err), arrived.Close())
	}
	return &Sink{arrived}, nil
}

func sinkProgram(arrived *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadAbs(etherType, asm.Half),
		asm.JEq.Imm(asm.R0, unix.ETH_P_IPV6, "ipv6"),
		asm.JNE.Imm(asm.R0, unix.ETH_P_IP, "pass"),
		asm.LoadAbs(protocolIPv4, asm.Byte),
		asm.JNE.Imm(asm.R0, unix.IPPROTO_UDP, "pass"),
		asm.LoadAbs(destinationIPv4, asm.Half),
		asm.Ja.Label("count"),
		asm.LoadAbs(protocolIPv6, asm.Byte).WithSymbol("ipv6"),
		asm.JNE.Imm(asm.R0, unix.IPPROTO_UDP, "pass"),
		asm.LoadAbs(destinationIPv6, asm.Half),
		asm.Add.Imm(asm.R0, ports),
		asm.StoreMem(asm.RFP, -4, asm.R0, asm.Word).WithSymbol("count"),
		asm.LoadMapPtr(asm.R1, arrived.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, int32(netlink.TC_ACT_SHOT)).WithSymbol("drop"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, int32(netlink.TC_ACT_OK)).WithSymbol("pass"),
		asm.Return(),
	}
}

// attachIngress uses clsact, which every supported kernel has.
func attachIngress(device string, program *ebpf.Program) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscAdd(qdisc); err != nil {
		return fmt.Errorf("add the clsact qdisc: %w", err)
	}
	return netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: program.FD(), Name: "sink", DirectAction: true,
	})
}

// Arrived returns the number of packets to a port.
func (s *Sink) Arrived(port uint16, ipv6 bool) (count uint64, err error) {
	key := uint32(port)
	if ipv6 {
		key += ports
	}
	return count, s.arrived.Lookup(key, &count)
}

// Close closes the handle.
func (s *Sink) Close() error { return s.arrived.Close() }
