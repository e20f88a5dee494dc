package e2e

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestPacketSocketOnHostSide has a packet socket without a ring listen on the host
// side, which makes a copy of each packet's head: what XDP left in the metadata in
// front of it would be lost.
func TestPacketSocketOnHostSide(t *testing.T) {
	protocols := map[string]uint16{"every protocol": unix.ETH_P_ALL, "IPv4": unix.ETH_P_IP}
	node.EachOf(t, []string{"auto", "native", "tc"}, func(t *testing.T, mode string) {
		n := newNode(t)
		must(t, node.SetTxOffload(n.NS, node.ToFar, false))
		must(t, n.Conflist(network("bridge", "1.1.0", mode, tutorial())))
		c := attach(t, n, "lab")
		serve(t, n.Far, 7998)
		for name, protocol := range protocols {
			t.Run(name, func(t *testing.T) {
				tap(t, n, c, protocol)
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

// exchange sends datagrams, whole and in fragments, and streams, by the rule.
func exchange(t *testing.T, c *node.Container, family string) {
	t.Helper()
	sizes := []int{64, 8000, 64, 8000, 64, 8000, 64, 8000}
	must(t, node.ExchangeUDP(c.NS, far(family, 7999), sizes))
	must(t, node.ConnectTCP(c.NS, far(family, 7999), 4))
	for _, size := range []int64{64, 8000} {
		must(t, node.ExchangeTCP(c.NS, far(family, 7999), size))
	}
}

// tap opens a packet socket on the container's host side, and reads all it gets.
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
