// Package load attaches many containers: at once, at the same time, and one
// after the other for long.
package load

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m, node.Alone)) }

// isNightly asks for the sizes that take long.
var isNightly = os.Getenv("XDP_PORT_NIGHTLY") != ""

// size is the one for every day, or the whole one.
func size(daily, nightly int) int {
	if isNightly {
		return nightly
	}
	return daily
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newNode makes a node that the test removes, with so many containers.
func newNode(t testing.TB, containers int) (*node.Node, []*node.Container) {
	t.Helper()
	n, err := node.New()
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	cs := make([]*node.Container, containers)
	for i := range cs {
		cs[i], err = n.Routed()
		must(t, err)
	}
	return n, cs
}

// flows tells the rulesets of this test from all others in the kernel, by the
// number of elements in their map of flows, which no other process is likely to have.
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

// run runs a verb for the container, which has to succeed.
func run(n *node.Node, c *node.Container, verb string, config map[string]any) error {
	stdin, err := json.Marshal(config)
	if err != nil {
		return err
	}
	answer, err := n.Call(node.Call{
		Verb: verb, ContainerID: c.PluginID(), NetNS: c.NS.Path(), IfName: c.IfName, Stdin: stdin,
	})
	if err == nil && answer.Refusal != nil {
		err = fmt.Errorf("%s of %s: code %d: %w", verb, c.HostSide, answer.Refusal.Code, answer.Refusal)
	}
	return err
}

// exchange has the container's datagrams rewritten, and their answers restored.
func exchange(c *node.Container) error {
	return node.ExchangeUDP(c.NS, netip.AddrPortFrom(netip.MustParseAddr(node.FarIPv4), 7999), node.Sizes(3, 0, 1000))
}

func serve(t testing.TB, n *node.Node) {
	t.Helper()
	echo, err := node.UDPEcho(n.Far, 7998)
	must(t, err)
	t.Cleanup(func() { echo.Close() })
}
