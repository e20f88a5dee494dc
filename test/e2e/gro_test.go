package e2e

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestMergedPackets forwards traffic of another link through the container, which acts as a
// router. Each side of its interface merges packets (GRO) in all possible ways, and a packet
// socket makes the kernel copy each packet's head. Streams and datagrams must arrive unchanged.
func TestMergedPackets(t *testing.T) {
	node.EachOf(t, []string{"auto", "native", "tc"}, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, node.SetTxOffload(n.NS, node.ToFar, false))
		must(t, n.Conflist(network("bridge", "1.1.0", mode, tutorial())))
		c := attach(t, n, "lab")
		inner := innerLink(t, n, c)
		hash, err := node.TCPHash(n.Far, 7998)
		must(t, err)
		defer hash.Close()
		echo, err := node.UDPEcho(n.Far, 7998)
		must(t, err)
		defer echo.Close()
		host := hostSide(t, n, c)
		for _, merging := range mergings() {
			t.Run(fmt.Sprint(merging), func(t *testing.T) {
				must(t, setFeatures(n.NS, host, merging))
				must(t, setFeatures(c.NS, c.IfName, merging))
				tap(t, n, c, unix.ETH_P_ALL)
				for _, offload := range []bool{true, false} {
					must(t, node.SetTxOffload(inner, "in0", offload))
					must(t, node.SetTxOffload(c.NS, c.IfName, offload))
					wantNoChecksumErrors(t, n.Far, func() {
						for _, from := range []ns.NetNS{inner, c.NS} {
							must(t, node.SendTCP(from, far("IPv4", 7999), 4<<20))
							must(t, node.ExchangeUDP(from, far("IPv4", 7999), node.Sizes(20, 0, 1400)))
						}
					})
				}
			})
		}
	})
}

// mergings are all combinations of the features that merge packets.
func mergings() (all []map[string]bool) {
	for bits := range 8 {
		all = append(all, map[string]bool{
			"rx-gro": bits&1 != 0, "rx-gro-list": bits&2 != 0, "rx-udp-gro-forwarding": bits&4 != 0,
		})
	}
	return all
}

// innerLink makes a host behind the container, which forwards for it.
func innerLink(t *testing.T, n *node.Node, c *node.Container) ns.NetNS {
	t.Helper()
	inner, err := n.Container()
	must(t, err)
	own := addresses(t, c)["IPv4"]
	must(t, c.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "router0"
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: "in0", PeerNamespace: netlink.NsFd(int(inner.NS.Fd()))}
		return errors.Join(netlink.LinkAdd(pair), node.Forward(), configureLink("router0", "10.77.0.1/24"))
	}))
	must(t, inner.NS.Do(func(ns.NetNS) error {
		return errors.Join(configureLink("in0", "10.77.0.2/24"), addRoute("in0", "0.0.0.0/0", "10.77.0.1"))
	}))
	must(t, n.NS.Do(func(ns.NetNS) error { return addRoute("cni0", "10.77.0.0/24", own.String()) }))
	return inner.NS
}

func configureLink(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
}

func addRoute(device, to, by string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	_, network, err := net.ParseCIDR(to)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: network, Gw: net.ParseIP(by)})
}
