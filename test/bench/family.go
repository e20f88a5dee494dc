package main

import (
	"net/netip"
	"slices"

	"github.com/xdp-port/xdp-port/test/node"
)

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
