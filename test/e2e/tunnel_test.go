package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestTunnel rewrites the port of a tunnel. Its inner packets have a partial checksum and a complete
// outer one, except unsegmented packets of the stream.
func TestTunnel(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		tun := newTunnel(t, mode)
		tun.open(t, 0)
		exchange := func() error { return node.ExchangeUDP(tun.c.NS, innerEcho, node.Sizes(100, 0, 1300)) }
		// If skbs cannot be read, one packet in 65,536 looks as if its outer checksum were partial, and is
		// dropped (docs/datapath.md, Checksums). From another port it is another packet.
		if err := exchange(); err != nil {
			if node.ReadsSKB(t) {
				t.Error(err)
			}
			must(t, exchange())
		}
		must(t, node.ExchangeTCP(tun.c.NS, innerTCP, 4<<20))
	})
}

// TestTunnelLooksPartial sends packets with an outer checksum that looks partial through a tunnel. It chooses
// the outer source port for that.
func TestTunnelLooksPartial(t *testing.T) {
	if !node.ReadsSKB(t) {
		t.Skip("only the skb can tell: it can be read since Linux 6.2, with BTF")
	}
	node.EachMode(t, func(t *testing.T, mode string) {
		tun := newTunnel(t, mode)
		const some = 20_000
		tun.open(t, some)
		outer := tun.outerOf(t, 100)
		source := onesAdd(onesAdd(some, outer.checksum), ^outer.pseudo)
		if source == 0 || source == 0xffff {
			t.Fatalf("the source port would be %d", source)
		}
		tun.open(t, source)
		outer = tun.outerOf(t, 100)
		if outer.checksum != outer.pseudo {
			t.Fatalf("from port %d the checksum is %#x, want the pseudo-header's sum %#x", source, outer.checksum, outer.pseudo)
		}
		must(t, node.ExchangeUDP(tun.c.NS, innerEcho, []int{100, 100, 100}))
	})
}

var (
	innerEcho = netip.MustParseAddrPort("10.77.0.2:1234")
	innerTCP  = netip.MustParseAddrPort("10.77.0.2:1235")
)

// tunnel connects a container and the far host, which listens at another port than the container
// sends to.
type tunnel struct {
	n *node.Node
	c *node.Container
}

func newTunnel(t *testing.T, mode string) *tunnel {
	t.Helper()
	n := node.ForTest(t)
	must(t, node.SetTxOffload(n.NS, node.ToFar, false))
	must(t, n.Conflist(network("bridge", "1.1.0", mode, []any{
		rule("protocol", "udp", "port", 4789, "toPort", 4790, "oneWay", true),
		rule("direction", "ingress", "protocol", "udp", "port", 4790, "toPort", 4789, "oneWay", true),
	})))
	tun := &tunnel{n: n, c: attach(t, n, "lab")}
	addTunnel(t, n.Far, node.ToNode, addresses(t, tun.c)["IPv4"].String(), 4790, 0, "10.77.0.2/24")
	echo, err := node.UDPEcho(n.Far, int(innerEcho.Port()))
	must(t, err)
	t.Cleanup(func() { echo.Close() })
	stream, err := node.TCPEcho(n.Far, int(innerTCP.Port()))
	must(t, err)
	t.Cleanup(func() { stream.Close() })
	return tun
}

// open re-creates the container's end. It sends from the source port, or from any if that is 0.
func (tun *tunnel) open(t *testing.T, source uint16) {
	t.Helper()
	addTunnel(t, tun.c.NS, tun.c.IfName, node.FarIPv4, 4789, source, "10.77.0.1/24")
}

func addTunnel(t *testing.T, in ns.NetNS, device, remote string, port int, source uint16, address string) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		under, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = fmt.Sprint("vx", port)
		attrs.HardwareAddr = net.HardwareAddr{2, 0, 0, 0, byte(port >> 8), byte(port)} // checksums cover the address
		if before, err := netlink.LinkByName(attrs.Name); err == nil {
			if err := netlink.LinkDel(before); err != nil {
				return err
			}
		}
		vxlan := &netlink.Vxlan{
			LinkAttrs: attrs, VxlanId: 7, VtepDevIndex: under.Attrs().Index, Group: net.ParseIP(remote), Port: port, UDPCSum: true,
		}
		if source != 0 {
			vxlan.PortLow, vxlan.PortHigh = int(source), int(source)+1 // the end is exclusive
		}
		if err := netlink.LinkAdd(vxlan); err != nil {
			return err
		}
		tunnel, err := netlink.LinkByName(attrs.Name)
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(tunnel, addr); err != nil {
			return err
		}
		return netlink.LinkSetUp(tunnel)
	}))
}

// outer is two fields of a tunnel packet's outer headers.
type outer struct{ checksum, pseudo uint16 }

// outerOf sends a datagram of size bytes through the tunnel, and returns what the container sent.
func (tun *tunnel) outerOf(t *testing.T, size int) outer {
	t.Helper()
	var fd int
	must(t, tun.c.NS.Do(func(ns.NetNS) error {
		device, err := netlink.LinkByName(tun.c.IfName)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); err != nil {
			return err
		}
		wait := unix.NsecToTimeval(int64(5 * time.Second))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300 /* ETH_P_ALL */, Ifindex: device.Attrs().Index})
	}))
	defer unix.Close(fd)
	_ = node.ExchangeUDP(tun.c.NS, innerEcho, []int{size}) // whether it arrives or not
	frame := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, frame, 0)
		must(t, err)
		if found, ok := outerIn(frame[:n], size); ok {
			return found
		}
	}
}

// outerIn finds a datagram of size bytes in a tunnel to port 4789.
func outerIn(frame []byte, size int) (found outer, ok bool) {
	const ip, udp, inner = 14, 34, 50
	if len(frame) != inner+ip+20+8+size || frame[ip+9] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(frame[udp+2:]) != 4789 {
		return outer{}, false
	}
	found.checksum = binary.BigEndian.Uint16(frame[udp+6:])
	found.pseudo = onesAdd(unix.IPPROTO_UDP, uint16(len(frame)-udp))
	for at := ip + 12; at < udp; at += 2 {
		found.pseudo = onesAdd(found.pseudo, binary.BigEndian.Uint16(frame[at:]))
	}
	return found, true
}

// onesAdd adds in one's complement, as checksums do (RFC 1071).
func onesAdd(a, b uint16) uint16 {
	sum := uint32(a) + uint32(b)
	return uint16(sum) + uint16(sum>>16)
}
