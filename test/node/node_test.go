package node_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

var must = node.Must

const port = 7999

// TestChainsWithoutXDPPort shows that the network itself neither loses nor changes
// packets: whatever is missing in another test, a rule dropped.
func TestChainsWithoutXDPPort(t *testing.T) {
	for conflist, plugin := range map[string]string{"10-bridge": "bridge", "20-ptp": "ptp"} {
		for _, offload := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/offload=%t", plugin, offload), func(t *testing.T) {
				t.Parallel()
				n := node.ForTest(t)
				must(t, n.ConflistWithout("../../conf/"+conflist+".conflist", "xdp-port", "plain"))
				must(t, node.SetTxOffload(n.NS, node.ToFar, offload))
				reachFar(t, n, attach(t, n))
			})
		}
	}
}

func attach(t *testing.T, n *node.Node) *node.Container {
	t.Helper()
	c, err := n.Container()
	must(t, err)
	_, err = c.Attach("plain")
	must(t, err)
	return c
}

// reachFar exchanges packets between the container and the far host in all ways that
// the tests use.
func reachFar(t *testing.T, n *node.Node, c *node.Container) {
	t.Helper()
	udp, err := node.UDPEcho(n.Far, port)
	must(t, err)
	defer udp.Close()
	tcp, err := node.TCPEcho(n.Far, port)
	must(t, err)
	defer tcp.Close()
	for _, address := range []string{node.FarIPv4, node.FarIPv6} {
		to := netip.AddrPortFrom(netip.MustParseAddr(address), port)
		if err := node.ExchangeUDP(c.NS, to, node.Sizes(pace.Share(1000), 0, 1472)); err != nil {
			t.Errorf("UDP to %s: %v", to, err)
		}
		if err := node.ExchangeUDP(c.NS, to, []int{8000}); err != nil {
			t.Errorf("fragments to %s: %v", to, err)
		}
		if err := node.ConnectTCP(c.NS, to, 100); err != nil {
			t.Errorf("TCP to %s: %v", to, err)
		}
		if err := node.ExchangeTCP(c.NS, to, pace.Share[int64](10<<20)); err != nil {
			t.Errorf("TCP bulk to %s: %v", to, err)
		}
	}
}

// TestCloseTwice closes a node as a signal at the end of a test does.
func TestCloseTwice(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Close())
	must(t, n.Close())
	must(t, node.Leftovers())
}
