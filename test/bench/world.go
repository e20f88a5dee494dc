package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
	"github.com/xdp-port/xdp-port/test/node"
)

// Ports of the packets: rules rewrite asked to answered and drop blocked, and no rule matches other.
const (
	asked    = 7999
	answered = 7998
	other    = 6000
	blocked  = 6001
)

// world is a contender's machine: a node with one container, and a far host that counts the datagrams
// that arrive. Worlds differ only in what rewrites the ports.
type world struct {
	name string
	// rewrites is set if UDP packets to asked arrive at answered, and tcp if TCP works as well.
	rewrites, tcp bool

	*pod
	sink *traffic.Sink
	undo []func() error // for changes that do not go with the node
}

// newWorld makes a world without attachments.
func (b *bench) newWorld(name string) (w *world, err error) {
	w = &world{name: name}
	n, err := b.newNode()
	if err != nil {
		return nil, err
	}
	if w.pod, err = b.newPod(n, true); err != nil {
		return nil, err
	}
	for _, f := range families {
		if err := n.NS.Do(f.routeBehindFar); err != nil {
			return nil, fmt.Errorf("route %s to the far host: %w", f.behindFar, err)
		}
	}
	if w.sink, err = traffic.NewSink(n.Far, node.ToNode); err != nil {
		return nil, err
	}
	b.later(w.sink.Close)
	return w, nil
}

func (f *family) routeBehindFar(ns.NetNS) error {
	destination, err := netlink.ParseIPNet(f.behindFar.String())
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: destination, Gw: f.far.AsSlice()})
}

// arrivesAt is the port at which packets to a port arrive.
func (w *world) arrivesAt(port uint16) uint16 {
	if w.rewrites && port == asked {
		return answered
	}
	return port
}

// addXDPPort attaches the world's container with a configuration of xdp-port.
func (w *world) addXDPPort(options map[string]any) error {
	w.rewrites, w.tcp = true, true
	_, err := w.add(xdpPortPlugin(options))
	return err
}

// portRules are the rules of the tutorial, for both protocols.
func portRules() []any {
	return []any{
		map[string]any{"protocol": "udp", "port": asked, "toPort": answered},
		map[string]any{"protocol": "tcp", "port": asked, "toPort": answered},
	}
}

// family is a version of IP, with its addresses in a world.
type family struct {
	name string
	// suffix ends the names of the family's tables.
	suffix string
	// far is the host behind the second hop. Packets to behindFar reach its link, too.
	far       netip.Addr
	behindFar netip.Prefix
	pod       netip.Prefix
	gateway   netip.Prefix // the host side of the pod's veth
}

var (
	ipv4 = &family{
		name: "IPv4", far: netip.MustParseAddr(node.FarIPv4), behindFar: netip.MustParsePrefix("10.98.0.0/16"),
		pod: netip.MustParsePrefix("10.88.0.2/16"), gateway: netip.MustParsePrefix("10.88.0.1/16"),
	}
	ipv6 = &family{
		name: "IPv6", suffix: "-ipv6", far: netip.MustParseAddr(node.FarIPv6), behindFar: netip.MustParsePrefix("fd00:98::/64"),
		pod: netip.MustParsePrefix("fd00:88::2/64"), gateway: netip.MustParsePrefix("fd00:88::1/64"),
	}
	families = []*family{ipv4, ipv6}
)

// inIPv6 are the contenders that are compared in IPv6, too. The others would only repeat what IPv4 shows, or
// know no IPv6.
var inIPv6 = []string{nothing, auto, native, tc, nft, iptables, emptyXDP}

// compares reports whether a contender is compared in the family.
func (f *family) compares(contender string) bool {
	return f == ipv4 || slices.Contains(inIPv6, contender)
}

func (f *family) isIPv6() bool { return f == ipv6 }
