package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/packet"
)

// hookKind is a kind of program that the bench can run without traffic.
type hookKind struct {
	kind ebpf.ProgramType
	// pass is the verdict that lets a packet through.
	pass int32
	// drop is the verdict that drops it.
	drop int32
	// attachTypes are the types that the program may have: only programs with the same type can call each
	// other.
	attachTypes []ebpf.AttachType
	// Offsets of the packet's bounds and of the device in the context.
	data, dataEnd, device int
	// attached returns the ID of the program on a device.
	attached func(netlink.Link) (ebpf.ProgramID, error)
}

// Layouts of struct xdp_md and struct __sk_buff (linux/bpf.h), in bytes.
var (
	xdpHook = hookKind{
		kind:        ebpf.XDP,
		pass:        2, // XDP_PASS
		drop:        1, // XDP_DROP
		attachTypes: []ebpf.AttachType{ebpf.AttachXDP, ebpf.AttachNone},
		data:        0, dataEnd: 4, device: 12,
		attached: func(device netlink.Link) (ebpf.ProgramID, error) {
			if device.Attrs().Xdp == nil || !device.Attrs().Xdp.Attached {
				return 0, errors.New("no XDP program is attached")
			}
			return ebpf.ProgramID(device.Attrs().Xdp.ProgId), nil
		},
	}
	tcHook = hookKind{
		kind:        ebpf.SchedCLS,
		pass:        -1, // TCX_NEXT
		drop:        2,  // TCX_DROP
		attachTypes: []ebpf.AttachType{ebpf.AttachNone, ebpf.AttachTCXIngress},
		data:        76, dataEnd: 80, device: 40,
		attached: func(device netlink.Link) (ebpf.ProgramID, error) {
			found, err := link.QueryPrograms(link.QueryOptions{Target: device.Attrs().Index, Attach: ebpf.AttachTCXIngress})
			if err != nil {
				return 0, err
			}
			if len(found.Programs) != 1 {
				return 0, fmt.Errorf("%d programs are at tcx ingress, not one", len(found.Programs))
			}
			return found.Programs[0].ID, nil
		},
	}
)

// attachedProgram opens the plugin's program at the hook where the pod's packets arrive.
func (h *hookKind) attachedProgram(p *pod) (program *ebpf.Program, err error) {
	err = p.node.NS.Do(func(ns.NetNS) error {
		device, err := netlink.LinkByIndex(p.host.Attrs().Index)
		if err != nil {
			return err
		}
		id, err := h.attached(device)
		if err != nil {
			return err
		}
		program, err = ebpf.NewProgramFromID(id)
		return err
	})
	return program, err
}

// emptyProgram does nothing. Running it costs what running any program costs.
func (h *hookKind) emptyProgram() (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "empty", Type: h.kind, AttachType: h.attachTypes[0], License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, h.pass), asm.Return()},
	})
}

// notCalled is the result of a caller that could not call.
const notCalled = 0x77

// runPacket is what programs run with: a UDP packet from a pod to the far host.
type runPacket struct {
	packet.Packet
	port uint16 // the destination
}

func newRunPacket(f *family, port uint16, tags ...packet.Tag) runPacket {
	return runPacket{packet.Packet{
		Tags: tags, Source: f.pod.Addr(), Destination: f.far,
		Load: packet.UDP{Source: 40000, Destination: port, Payload: make([]byte, 18)},
	}, port}
}

// leaves reports whether the plugin's program leaves a packet to the next hook. Between generic XDP and tc
// ingress the stack removes the VLAN tag, so XDP rewrites no packet with one.
func (h *hookKind) leaves(r runPacket) bool { return h.kind == ebpf.XDP && len(r.Tags) > 0 }

// destination is the offset of the port.
func (r runPacket) destination() int { return r.TransportOffset() + 2 }

// isRewritten reports whether a frame has another port.
func (r runPacket) isRewritten(frame []byte) bool {
	return binary.BigEndian.Uint16(frame[r.destination():]) != r.port
}

// calling is a program that restores the packet, because the previous run may have rewritten its
// port, and calls another program.
type calling struct {
	*ebpf.Program
	callee *ebpf.Map // holds the program until its last handle is closed
}

func (h *hookKind) call(callee *ebpf.Program, with runPacket) (*calling, error) {
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	var refused error
	for _, attachType := range h.attachTypes {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "caller", Type: h.kind, AttachType: attachType, License: "Dual BSD/GPL", Instructions: h.caller(table, with),
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load the calling program: %w", err), table.Close())
		}
		if refused = table.Put(uint32(0), callee); refused == nil {
			return &calling{program, table}, nil
		}
		program.Close()
	}
	return nil, errors.Join(fmt.Errorf("put the program into a table: %w", refused), table.Close())
}

func (h *hookKind) caller(table *ebpf.Map, with runPacket) asm.Instructions {
	const udpHeader = 8
	udp := with.TransportOffset()
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, int16(h.data), asm.Word),
		asm.LoadMem(asm.R3, asm.R1, int16(h.dataEnd), asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(udp+udpHeader)),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.StoreImm(asm.R2, int16(with.destination()), int64(onTheWire(with.port)), asm.Half),
		asm.LoadMapPtr(asm.R2, table.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, notCalled).WithSymbol("out"),
		asm.Return(),
	}
}

// Close closes the handles.
func (c *calling) Close() error { return errors.Join(c.Program.Close(), c.callee.Close()) }

// attachedRunner returns a sample of the plugin's program at a pod: the time of one run in ns. A rule
// rewrites asked.
func (b *bench) attachedRunner(h *hookKind, p *pod, with runPacket) (func() (float64, error), error) {
	program, err := h.attachedProgram(p)
	if err != nil {
		return nil, err
	}
	return b.runner(h, p, program, with, with.port == asked && !h.leaves(with))
}

// emptyRunner returns a sample of a program that does nothing.
func (b *bench) emptyRunner(h *hookKind, p *pod, with runPacket) (func() (float64, error), error) {
	program, err := h.emptyProgram()
	if err != nil {
		return nil, err
	}
	return b.runner(h, p, program, with, false)
}

// runner returns a sample of a program, and closes its handle. The sample checks whether the program
// rewrote the port.
func (b *bench) runner(h *hookKind, p *pod, callee *ebpf.Program, with runPacket, rewrites bool) (func() (float64, error), error) {
	defer callee.Close()
	caller, err := h.call(callee, with)
	if err != nil {
		return nil, err
	}
	b.later(caller.Close)
	options := ebpf.RunOptions{
		Data:    with.Bytes(),
		Context: h.context(p.host.Attrs().Index, len(with.Bytes())),
		DataOut: make([]byte, 2*len(with.Bytes())),
		Repeat:  uint32(b.lessWork(runsARound)),
	}
	return func() (float64, error) {
		cost, err := b.core.DoIn(p.node.NS, func() error {
			verdict, err := caller.Run(&options)
			switch {
			case err != nil:
				return err
			case verdict == notCalled:
				return errors.New("the program was not called")
			case with.isRewritten(options.DataOut) != rewrites:
				return fmt.Errorf("a packet to port %d is rewritten: %t, should be %t", with.port, !rewrites, rewrites)
			}
			return nil
		})
		return float64(cost.CPU.Nanoseconds()) / float64(options.Repeat), err
	}, nil
}

// context is a packet's context with its device and length.
func (h *hookKind) context(ifindex, length int) []byte {
	context := make([]byte, 192)
	if h.kind == ebpf.XDP {
		context = context[:24]
		binary.NativeEndian.PutUint32(context[h.dataEnd:], uint32(length))
	}
	binary.NativeEndian.PutUint32(context[h.device:], uint32(ifindex))
	return context
}

// Offsets in an Ethernet frame with UDP, behind an IPv4 header without options or an IPv6 header
// without extensions.
const (
	etherType   = 12
	ipProtocol  = 23
	destination = 36
	headers     = 42

	nextHeader      = 20
	destinationIPv6 = 56
	headersIPv6     = 62
)

// onTheWire returns the number that a program loads from two bytes in network
// byte order.
func onTheWire(value uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, value)))
}
