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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const port = 7999

// TestChainsWithoutXDPPort shows that the world itself loses and changes
// nothing: whatever another test misses, a rule took.
func TestChainsWithoutXDPPort(t *testing.T) {
	for conflist, plugin := range map[string]string{"10-bridge": "bridge", "20-ptp": "ptp"} {
		for _, offload := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/offload=%t", plugin, offload), func(t *testing.T) {
				t.Parallel()
				n := newNode(t)
				must(t, n.ConflistWithout("../../conf/"+conflist+".conflist", "xdp-port", "plain"))
				must(t, node.SetTxOffload(n.NS, node.ToFar, offload))
				reachFar(t, n, attach(t, n))
			})
		}
	}
}

func newNode(t *testing.T) *node.Node {
	t.Helper()
	n, err := node.New()
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func attach(t *testing.T, n *node.Node) *node.Container {
	t.Helper()
	c, err := n.Container()
	must(t, err)
	_, err = c.Attach("plain")
	must(t, err)
	return c
}

// reachFar has the container talk to the far host in all the ways that the
// tests use.
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

// TestCloseTwice is what a signal during a test's end does.
func TestCloseTwice(t *testing.T) {
	n := newNode(t)
	must(t, n.Close())
	must(t, n.Close())
	must(t, node.Leftovers())
}
