// Package e2e tests the whole path: conflist, cnitool, plugin, kernel, and packets of real sockets,
// on nodes made of network namespaces.
package e2e

import (
	"net/netip"
	"os"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// attach attaches a new container to the network.
func attach(t *testing.T, n *node.Node, network string) *node.Container {
	t.Helper()
	c, err := n.Container()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attach(network); err != nil {
		t.Fatal(err)
	}
	return c
}

var must = node.Must

// rule builds a rule of the configuration: rule("protocol", "udp", "port", 53).
func rule(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// tutorial are the rules of the tutorial, for both protocols.
func tutorial() []any {
	return []any{
		rule("protocol", "udp", "port", 7999, "toPort", 7998),
		rule("protocol", "tcp", "port", 7999, "toPort", 7998),
	}
}

// network builds a conflist of a main plugin and xdp-port.
func network(main, cniVersion, mode string, rules []any) map[string]any {
	return map[string]any{
		"cniVersion": cniVersion,
		"name":       "lab",
		"plugins": []any{
			mainPlugin(main),
			map[string]any{"type": "xdp-port", "mode": mode, "rules": rules},
		},
	}
}

func mainPlugin(kind string) map[string]any {
	subnet := func(text string) []any { return []any{map[string]any{"subnet": text}} }
	plugin := map[string]any{
		"type": kind,
		"ipam": map[string]any{
			"type":   "host-local",
			"ranges": []any{subnet("10.88.0.0/16"), subnet("fd00:88::/64")},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}, map[string]any{"dst": "::/0"}},
		},
	}
	if kind == "bridge" {
		plugin["bridge"] = "cni0"
		plugin["isGateway"] = true
	}
	return plugin
}

var families = map[string]string{"IPv4": node.FarIPv4, "IPv6": node.FarIPv6}

func far(family string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(families[family]), port)
}

// serve runs the echo servers for UDP and TCP on a port.
func serve(t *testing.T, in ns.NetNS, port int) {
	t.Helper()
	udp, err := node.UDPEcho(in, port)
	must(t, err)
	t.Cleanup(func() { udp.Close() })
	tcp, err := node.TCPEcho(in, port)
	must(t, err)
	t.Cleanup(func() { tcp.Close() })
}
