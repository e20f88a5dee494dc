package e2e

import (
	"net/netip"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/packet"
)

// TestShapedPacketsAreDecidedOnce sends through an ifb device. XDP then sees the packets a second
// time, after the change. No rule and no counter may apply to them again.
func TestShapedPacketsAreDecidedOnce(t *testing.T) {
	node.NeedBandwidth(t)
	for _, mode := range []string{"generic", "tc"} {
		t.Run(mode, func(t *testing.T) {
			node.NeedMode(t, mode)
			testShaped(t, mode)
		})
	}
}

func testShaped(t *testing.T, mode string) {
	bandwidth := map[string]any{"type": "bandwidth", "egressRate": 1_000_000_000, "egressBurst": 100_000_000}
	n := node.ForTest(t)
	must(t, node.SetTxOffload(n.NS, node.ToFar, false))
	must(t, n.Conflist(map[string]any{"cniVersion": "1.0.0", "name": "lab", "plugins": []any{
		mainPlugin("bridge"),
		map[string]any{"type": "xdp-port", "mode": mode, "rules": []any{
			rule("protocol", "udp", "port", 7999, "toPort", 7998, "oneWay", true),
			rule("protocol", "udp", "port", 7998, "toPort", 7997, "oneWay", true),
			rule("protocol", "udp", "port", 7996, "toPort", 7995),
			rule("protocol", "udp", "port", 7995, "action", "drop"),
			rule("protocol", "udp", "port", 7994, "action", "pass"),
			rule("protocol", "udp", "action", "drop"),
			rule("direction", "ingress", "protocol", "udp", "port", 8000, "toPort", 8080),
		}},
		bandwidth,
	}}))
	c := attach(t, n, "lab")
	serveNames(t, n.Far, 7994, 7995, 7997, 7998)
	echo, err := node.UDPEcho(c.NS, 8080)
	must(t, err)
	defer echo.Close()
	own := addresses(t, c)
	const packets = 50
	for _, offload := range []bool{true, false} {
		must(t, node.SetTxOffload(c.NS, c.IfName, offload))
		for family := range families {
			before := countersOf(t, n, c)
			wantAnswer(t, c.NS, far(family, 7999), "7998")
			wantAnswer(t, c.NS, far(family, 7998), "7997")
			wantAnswer(t, c.NS, far(family, 7996), "7995")
			wantAnswer(t, c.NS, far(family, 7995), "")
			wantAnswer(t, c.NS, far(family, 7994), "7994")
			must(t, node.ExchangeUDP(n.Far, netip.AddrPortFrom(own[family], 8000), node.Sizes(packets, 0, 1400)))
			after := countersOf(t, n, c)
			for i, want := range []uint64{1, 1, 1, 1, 1, 0, packets} {
				if got := after.Rules[i].Packets - before.Rules[i].Packets; got != want {
					t.Errorf("%s, offload %t: rule %d counted %d packets, should count %d", family, offload, i, got, want)
				}
			}
			if got := after.RepliesRestored - before.RepliesRestored; got != packets+1 {
				t.Errorf("%s, offload %t: %d replies were restored, should be %d", family, offload, got, packets+1)
			}
		}
	}
}

// TestRedirectedPacketsObeyRules lets the container redirect packets to its interface with tc.
// Generic XDP does not see them.
func TestRedirectedPacketsObeyRules(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.Conflist(network("bridge", "1.1.0", mode, []any{
			rule("protocol", "udp", "port", 7777, "action", "drop"),
			rule("protocol", "udp", "port", 7999, "toPort", 7998),
		})))
		c := attach(t, n, "lab")
		own := addresses(t, c)["IPv4"]
		inject := redirected(t, n, c)
		for i := range 3 {
			for _, port := range []uint16{7777, 7999} {
				inject(packet.Packet{
					Source: own, Destination: netip.MustParseAddr(node.FarIPv4),
					Load: packet.UDP{Source: uint16(5000 + i), Destination: port},
				})
			}
		}
		counters := awaitCounters(t, n, c, func(c *datapath.Counters) bool { return c.Dropped+c.Rewritten >= 6 })
		if counters.Dropped != 3 || counters.Rewritten != 3 {
			t.Errorf("%+v: 3 packets should be dropped and 3 rewritten", counters)
		}
	})
}

// redirected returns a function that sends a packet into a veth of the container, which redirects
// it to the container's interface.
func redirected(t *testing.T, n *node.Node, c *node.Container) func(packet.Packet) {
	t.Helper()
	var eth0 netlink.Link
	must(t, c.NS.Do(func(ns.NetNS) (err error) {
		if eth0, err = netlink.LinkByName(c.IfName); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "in0"
		if err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "out0"}); err != nil {
			return err
		}
		var in netlink.Link
		for _, name := range []string{"out0", "in0"} {
			if in, err = netlink.LinkByName(name); err != nil {
				return err
			}
			if err = netlink.LinkSetUp(in); err != nil {
				return err
			}
		}
		if err = netlink.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: in.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0),
		}}); err != nil {
			return err
		}
		return netlink.FilterAdd(&netlink.U32{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: in.Attrs().Index, Parent: netlink.MakeHandle(0xffff, 0), Priority: 1, Protocol: unix.ETH_P_ALL,
			},
			Actions: []netlink.Action{netlink.NewMirredAction(eth0.Attrs().Index)},
		})
	}))
	through := *c
	through.IfName = "out0"
	return injector(t, n, &through, netip.Addr{})
}
