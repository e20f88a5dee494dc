package e2e

import (
	"net/netip"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// bulk is the number of bytes sent in each direction at once.
var bulk = pace.Share[int64](200 << 20)

// place is a place for the other end of a container's connection.
type place struct {
	name string
	ns   ns.NetNS
	addr map[string]netip.Addr // by family
}

var familyNumbers = map[string]int{"IPv4": netlink.FAMILY_V4, "IPv6": netlink.FAMILY_V6}

func addresses(t *testing.T, c *node.Container) map[string]netip.Addr {
	t.Helper()
	out := map[string]netip.Addr{}
	for family, number := range familyNumbers {
		addr, err := c.Addr(number)
		must(t, err)
		out[family] = addr
	}
	return out
}

// places are the host, a second container of the same network with the same rules, and a host behind
// the second hop.
func places(t *testing.T, n *node.Node) []place {
	t.Helper()
	second := attach(t, n, "lab")
	return []place{
		{"host", n.NS, map[string]netip.Addr{
			"IPv4": netip.MustParseAddr("10.88.0.1"), "IPv6": netip.MustParseAddr("fd00:88::1"),
		}},
		{"second container", second.NS, addresses(t, second)},
		{"second hop", n.Far, map[string]netip.Addr{
			"IPv4": netip.MustParseAddr(node.FarIPv4), "IPv6": netip.MustParseAddr(node.FarIPv6),
		}},
	}
}

// bothWays are rules for a client and for a server in the container.
func bothWays() []any {
	return append(tutorial(),
		rule("direction", "ingress", "protocol", "tcp", "port", 80, "toPort", 8080),
		rule("direction", "ingress", "protocol", "udp", "port", "80-81", "toPort", "8080-8081"),
	)
}

// TestBulkBothWays sends 200 MB in each direction at once, through an egress and an ingress rule.
func TestBulkBothWays(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.Conflist(network("bridge", "1.1.0", mode, bothWays())))
		c := attach(t, n, "lab")
		serve(t, c.NS, 8080)
		own := addresses(t, c)
		for _, there := range places(t, n) {
			serve(t, there.ns, 7998)
			for family := range familyNumbers {
				t.Run(there.name+"/"+family, func(t *testing.T) {
					server := netip.AddrPortFrom(there.addr[family], 7999)
					must(t, node.ExchangeUDP(c.NS, server, node.Sizes(100, 0, 1400)))
					must(t, node.ExchangeTCP(c.NS, server, bulk))
					server = netip.AddrPortFrom(own[family], 80)
					must(t, node.ExchangeUDP(there.ns, server, node.Sizes(100, 0, 1400)))
					must(t, node.ExchangeTCP(there.ns, server, bulk))
				})
			}
		}
	})
}
