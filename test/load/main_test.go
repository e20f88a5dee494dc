// Package load attaches many containers: at once, at the same time, and repeatedly.
package load

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// isNightly selects the sizes that take long.
var isNightly = os.Getenv("XDP_PORT_NIGHTLY") != ""

// size is the daily size, or the nightly one.
func size(daily, nightly int) int {
	if isNightly {
		return nightly
	}
	return daily
}

var must = node.Must

// newNode makes a node with containers, for as long as the test runs.
func newNode(t testing.TB, containers int) (*node.Node, []*node.Container) {
	t.Helper()
	n := node.ForTest(t)
	cs := make([]*node.Container, containers)
	for i := range cs {
		var err error
		cs[i], err = n.Routed()
		must(t, err)
	}
	return n, cs
}

// flows identifies the rulesets of this test among all others in the kernel, by the size
// of their flow table, which no other process is likely to use.
var (
	flowElements = 257 + os.Getpid()%15000
	flows        = 4 * (flowElements - 1)
)

func config(tcHook string) map[string]any {
	rule := func(protocol string) map[string]any {
		return map[string]any{"protocol": protocol, "port": 7999, "toPort": 7998}
	}
	return map[string]any{
		"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "tcHook": tcHook, "flows": flows,
		"rules":      []any{rule("udp"), rule("tcp")},
		"prevResult": map[string]any{"cniVersion": "1.1.0"},
	}
}

// run runs an operation for the container, which must succeed.
func run(c *node.Container, operation string, config map[string]any) error {
	refusal, err := c.Plugin(operation, config)
	if err == nil && refusal != nil {
		err = fmt.Errorf("%s of %s: code %d: %w", operation, c.HostSide, refusal.Code, refusal)
	}
	return err
}

// exchange sends datagrams that are rewritten, and expects restored replies.
func exchange(c *node.Container) error {
	return node.ExchangeUDP(c.NS, netip.AddrPortFrom(netip.MustParseAddr(node.FarIPv4), 7999), node.Sizes(3, 0, 1000))
}

func serve(t testing.TB, n *node.Node) {
	t.Helper()
	echo, err := node.UDPEcho(n.Far, 7998)
	must(t, err)
	t.Cleanup(func() { echo.Close() })
}
