package e2e

import (
	"fmt"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestRewrite sends UDP and TCP through a rule to a server behind a second hop, which must complete and
// verify checksums itself. Local delivery would hide a wrong checksum.
func TestRewrite(t *testing.T) {
	for _, main := range []string{"bridge", "ptp"} {
		for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
			for _, mode := range []string{"generic", "native", "tc"} {
				t.Run(fmt.Sprint(main, "/", version, "/", mode), func(t *testing.T) {
					node.NeedMode(t, mode)
					t.Parallel()
					testRewrite(t, network(main, version, mode, tutorial()))
				})
			}
		}
	}
}

func testRewrite(t *testing.T, list map[string]any) {
	n := node.ForTest(t)
	must(t, node.SetTxOffload(n.NS, node.ToFar, false))
	must(t, n.Conflist(list))
	c := attach(t, n, "lab")
	serve(t, n.Far, 7998)
	for _, offload := range []bool{true, false} {
		must(t, node.SetTxOffload(c.NS, c.IfName, offload))
		for family := range families {
			t.Run(fmt.Sprintf("%s/offload=%t", family, offload), func(t *testing.T) {
				must(t, node.ExchangeUDP(c.NS, far(family, 7999), node.Sizes(pace.Share(1000), 0, 1472)))
				must(t, node.ConnectTCP(c.NS, far(family, 7999), pace.Share(1000)))
			})
		}
	}
}

// TestFragmentsAndSegments sends more than fits into one packet: datagrams that the container's stack
// fragments, and TCP in packets that a later device segments.
func TestFragmentsAndSegments(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.Conflist(network("bridge", "1.1.0", mode, tutorial())))
		c := attach(t, n, "lab")
		udp, err := node.UDPEcho(n.Far, 7998)
		must(t, err)
		defer udp.Close()
		tcp, err := node.TCPHash(n.Far, 7998)
		must(t, err)
		defer tcp.Close()
		for _, offload := range []bool{true, false} {
			must(t, node.SetTxOffload(n.NS, node.ToFar, offload))
			for family := range families {
				must(t, node.ExchangeUDP(c.NS, far(family, 7999), node.Sizes(100, 8000, 8000)))
				must(t, node.SendTCP(c.NS, far(family, 7999), pace.Share[int64](100<<20)))
			}
		}
	})
}
