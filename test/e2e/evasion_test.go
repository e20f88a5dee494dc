package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/packet"
)

// TestContainerThatSkipsTC sends packets through an ifb device in the container, which makes the
// kernel skip tc ingress on the host side. XDP must drop packets that it may not change because
// they lack a checksum.
func TestContainerThatSkipsTC(t *testing.T) {
	node.NeedTCX(t)
	for _, mode := range []string{"generic", "native"} {
		t.Run(mode, func(t *testing.T) {
			node.NeedMode(t, mode)
			n := node.ForTest(t)
			must(t, n.Conflist(network("bridge", "1.1.0", mode, []any{
				rule("protocol", "udp", "port", 25, "action", "drop"),
				rule("protocol", "udp", "port", 7999, "toPort", 7998),
			})))
			c := attach(t, n, "lab")
			dropped, passed := openInbox(t, n.Far, 25), openInbox(t, n.Far, 5000)
			sendThroughIFB(t, c)
			const each = 20
			for _, port := range []uint16{25, 5000} {
				for _, checksum := range []bool{true, false} {
					sendNumbered(t, c, port, checksum, each)
				}
			}
			passed.want(t, "port 5000", 2*each)
			dropped.want(t, "port 25", 0)
			if got := countersOf(t, n, c).Dropped; got != 2*each {
				t.Errorf("%d packets were counted as dropped, want %d", got, 2*each)
			}
		})
	}
}

func sendNumbered(t *testing.T, c *node.Container, port uint16, checksum bool, count int) {
	t.Helper()
	conn, err := node.DialUDP(c.NS, far("IPv4", port))
	must(t, err)
	defer conn.Close()
	if !checksum {
		raw, err := conn.SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) }))
		must(t, err)
	}
	for i := range count {
		_, err := conn.Write(numbered(i))
		must(t, err)
	}
}

// sendThroughIFB sends each packet of the container through an ifb device. The second time it
// has a mark and passes.
func sendThroughIFB(t *testing.T, c *node.Container) {
	t.Helper()
	const mark, marked = 8, 77 // offset in struct __sk_buff
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, mark, asm.Word),
		asm.JEq.Imm(asm.R2, marked, "pass"),
		asm.Mov.Imm(asm.R2, marked),
		asm.StoreMem(asm.R1, mark, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, -1), // TCX_NEXT: the next filter redirects
		asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("pass"),
		asm.Return(),
	}})
	must(t, err)
	defer program.Close()
	must(t, c.NS.Do(func(ns.NetNS) error {
		eth0, err := netlink.LinkByName(c.IfName)
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "ifb7"
		ifb := &netlink.Ifb{LinkAttrs: attrs}
		if err := errors.Join(netlink.LinkAdd(ifb), netlink.LinkSetUp(ifb)); err != nil {
			return fmt.Errorf("make an ifb device: %w", err)
		}
		l, err := link.AttachTCX(link.TCXOptions{Program: program, Attach: ebpf.AttachTCXEgress, Interface: eth0.Attrs().Index})
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		return errors.Join(
			netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
				LinkIndex: eth0.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
			}}),
			netlink.FilterAdd(&netlink.U32{
				FilterAttrs: netlink.FilterAttrs{
					LinkIndex: eth0.Attrs().Index, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 1, Protocol: unix.ETH_P_IP,
				},
				Actions: []netlink.Action{netlink.NewMirredAction(ifb.Attrs().Index)},
			}))
	}))
}

// TestHeadersInSecondBuffer redirects frames with an XDP program in the container. Their first
// buffer ends after the Ethernet header, so that XDP on the host side cannot read the ports. They
// must not bypass a rule.
func TestHeadersInSecondBuffer(t *testing.T) {
	node.NeedMode(t, "native")
	n := node.ForTest(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "native", []any{
		rule("protocol", "udp", "port", 25, "action", "drop"),
		rule("protocol", "udp", "port", 7999, "toPort", 7998),
	})))
	c := attach(t, n, "lab")
	boxes := map[int]*inbox{}
	for _, port := range []int{25, 7998, 7999} {
		boxes[port] = openInbox(t, n.Far, port)
	}
	const each = 20
	for _, port := range []uint16{25, 7999} {
		redirectCut(t, n, c, false, port, each)
		redirectCut(t, n, c, true, port, each)
	}
	boxes[7998].want(t, "port 7998", each) // the frames that were not cut
	boxes[7999].want(t, "port 7999", 0)
	boxes[25].want(t, "port 25", 0)
	if got := countersOf(t, n, c).Dropped; got != 3*each {
		t.Errorf("%d packets were counted as dropped, want %d", got, 3*each)
	}
}

// redirectCut sends frames into a second veth of the container. Its XDP program turns them into
// packets to the port and redirects them to the container's interface.
func redirectCut(t *testing.T, n *node.Node, c *node.Container, cut bool, port uint16, count int) {
	t.Helper()
	p := packet.Packet{
		Source: addresses(t, c)["IPv4"], Destination: netip.MustParseAddr(node.FarIPv4),
		Load: packet.UDP{Source: 4000, Destination: port, Payload: numbered(0)},
	}
	frame := p.Bytes()
	copy(frame[0:6], hardwareAddr(t, n.NS, "cni0"))
	copy(frame[6:12], hardwareAddr(t, c.NS, c.IfName))
	in := fmt.Sprintf("in%d-%t", port, cut)
	var attached link.Link
	must(t, c.NS.Do(func(ns.NetNS) error {
		eth0, err := netlink.LinkByName(c.IfName)
		if err != nil {
			return err
		}
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.XDP, License: "GPL", Flags: unix.BPF_F_XDP_HAS_FRAGS,
			Instructions: makeAndRedirect(frame, eth0.Attrs().Index, cut),
		})
		if err != nil {
			return err
		}
		defer program.Close()
		receiver, err := jumboPair(in)
		if err != nil {
			return err
		}
		attached, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: receiver.Attrs().Index, Flags: link.XDPDriverMode})
		return err
	}))
	fd, to := packetSocket(t, c.NS, in, 0)
	for range count {
		must(t, unix.Sendto(fd, make([]byte, jumbo-1000), 0, to)) // of several buffers
	}
	must(t, attached.Close())
}

const jumbo = 9000

// jumboPair makes a veth for large frames, and returns the end that receives what the end with
// the name sends.
func jumboPair(name string) (receiver netlink.Link, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "x"+name, jumbo
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: name}
	if err := errors.Join(netlink.LinkAdd(pair), netlink.LinkSetUp(pair)); err != nil {
		return nil, err
	}
	sender, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	return pair, errors.Join(netlink.LinkSetMTU(sender, jumbo), netlink.LinkSetUp(sender))
}

// makeAndRedirect is an XDP program that replaces each large frame by this one and redirects it.
// If it cuts, only the Ethernet header stays in the first buffer.
func makeAndRedirect(frame []byte, device int, cut bool) asm.Instructions {
	const data, dataEnd, ethernet = 0, 4, 14 // struct xdp_md
	frame = append(frame, make([]byte, -len(frame)&7)...)
	size := len(frame)
	program := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.FnXdpGetBuffLen.Call(),
		asm.JLT.Imm(asm.R0, jumbo/2, "abort"), // a frame of the stack itself
	}
	for i := 0; i < size; i += 8 {
		program = append(program,
			asm.LoadImm(asm.R2, int64(binary.NativeEndian.Uint64(frame[i:])), asm.DWord),
			asm.StoreMem(asm.R10, int16(i-size), asm.R2, asm.DWord))
	}
	if cut {
		program = append(program,
			asm.LoadMem(asm.R2, asm.R6, dataEnd, asm.Word),
			asm.LoadMem(asm.R3, asm.R6, data, asm.Word),
			asm.Sub.Reg(asm.R2, asm.R3),
			asm.Sub.Imm(asm.R2, ethernet),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.FnXdpAdjustHead.Call(),
			asm.JNE.Imm(asm.R0, 0, "abort"))
	}
	return append(program,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnXdpGetBuffLen.Call(),
		asm.Mov.Imm(asm.R2, int32(size)),
		asm.Sub.Reg(asm.R2, asm.R0),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnXdpAdjustTail.Call(),
		asm.JNE.Imm(asm.R0, 0, "abort"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.R10),
		asm.Add.Imm(asm.R3, int32(-size)),
		asm.Mov.Imm(asm.R4, int32(size)),
		asm.FnXdpStoreBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "abort"),
		asm.Mov.Imm(asm.R1, int32(device)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("abort"),
		asm.Return())
}
