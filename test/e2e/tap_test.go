package e2e

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestPacketSocketOnHostSide opens a packet socket on the host side. Without a ring, the kernel copies
// each packet's head for it, and drops metadata that XDP has put in front.
func TestPacketSocketOnHostSide(t *testing.T) {
	sockets := map[string]func(*testing.T, *node.Node, *node.Container){
		"every protocol": func(t *testing.T, n *node.Node, c *node.Container) { tap(t, n, c, unix.ETH_P_ALL) },
		"IPv4":           func(t *testing.T, n *node.Node, c *node.Container) { tap(t, n, c, unix.ETH_P_IP) },
		"ring":           tapWithRing,
	}
	node.EachOf(t, []string{"auto", "native", "tc"}, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, node.SetTxOffload(n.NS, node.ToFar, false))
		must(t, n.Conflist(network("bridge", "1.1.0", mode, tutorial())))
		c := attach(t, n, "lab")
		serve(t, n.Far, 7998)
		for name, open := range sockets {
			t.Run(name, func(t *testing.T) {
				open(t, n, c)
				for _, offload := range []bool{true, false} {
					must(t, node.SetTxOffload(c.NS, c.IfName, offload))
					for family := range families {
						wantNoChecksumErrors(t, n.Far, func() { exchange(t, c, family) })
					}
				}
			})
		}
	})
}

// tapWithRing makes the kernel write packets into a ring, as tcpdump does.
func tapWithRing(t *testing.T, n *node.Node, c *node.Container) {
	t.Helper()
	fd, _ := packetSocket(t, n.NS, hostSide(t, n, c), unix.ETH_P_ALL)
	const block, frame = 1 << 16, 1 << 11 // bytes
	must(t, unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq{
		Block_size: block, Block_nr: 4, Frame_size: frame, Frame_nr: 4 * block / frame,
	}))
}

// exchange sends datagrams, whole and in fragments, and streams through the rule.
func exchange(t *testing.T, c *node.Container, family string) {
	t.Helper()
	sizes := []int{64, 8000, 64, 8000, 64, 8000, 64, 8000}
	must(t, node.ExchangeUDP(c.NS, far(family, 7999), sizes))
	must(t, node.ConnectTCP(c.NS, far(family, 7999), 4))
	for _, size := range []int64{64, 8000} {
		must(t, node.ExchangeTCP(c.NS, far(family, 7999), size))
	}
}

// tap opens a packet socket on the container's host side and reads everything.
func tap(t *testing.T, n *node.Node, c *node.Container, protocol uint16) {
	t.Helper()
	fd, _ := packetSocket(t, n.NS, hostSide(t, n, c), protocol)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			select {
			case <-stop:
				return
			default:
				_, _, _ = unix.Recvfrom(fd, buffer, 0)
			}
		}
	}()
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}))
}
