package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// portPool holds the ports at and beside which ranges begin and end, so that the
// ranges overlap in all ways.
var portPool = []int{0, 1, 2, 53, 80, 254, 255, 256, 257, 511, 512, 8000, 8080, 32767, 32768, 65279, 65280, 65534, 65535}

// peerPool holds nested, neighbouring and unrelated prefixes of both families.
var peerPool = prefixes(
	"0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "10.1.2.0/24",
	"10.1.2.0/25", "10.1.2.3/32", "10.1.2.4/32", "192.168.0.0/16", "255.255.255.255/32", "0.0.0.0/32",
	"::/0", "8000::/1", "fd00::/8", "fd00::/16", "fd00:0:0:1::/64", "fd00:0:0:1::/65", "fd00:0:0:1::a/128",
	"fd00:0:0:1::b/128", "2001:db8::/32", "2001:db8::/33", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text).Masked())
	}
	return out
}

func pick[E any](r *rand.Rand, from []E) E {
	return from[r.IntN(len(from))]
}

func randomPort(r *rand.Rand) uint16 {
	if r.IntN(4) == 0 {
		return uint16(r.IntN(ports))
	}
	return uint16(max(0, min(ports-1, pick(r, portPool)+r.IntN(3)-1)))
}

func randomPorts(r *rand.Rand) PortRange {
	first, last := randomPort(r), randomPort(r)
	switch r.IntN(8) {
	case 0:
		return EveryPort
	case 1, 2, 3:
		return PortRange{first, first}
	}
	return PortRange{min(first, last), max(first, last)}
}

func randomTo(r *rand.Rand, from PortRange) PortRange {
	if r.IntN(2) == 0 {
		to := randomPort(r)
		return PortRange{to, to}
	}
	first := r.IntN(ports - from.Len() + 1)
	return PortRange{uint16(first), uint16(first + from.Len() - 1)}
}

func randomPeer(r *rand.Rand) netip.Prefix {
	if r.IntN(5) > 0 {
		return pick(r, peerPool)
	}
	address := randomAddress(r)
	prefix, err := address.Prefix(r.IntN(address.BitLen() + 1))
	if err != nil {
		panic(err)
	}
	return prefix
}

// randomAddress returns an address that mostly lies in, or just beside, a prefix of
// the pool.
func randomAddress(r *rand.Rand) netip.Addr {
	prefix := pick(r, peerPool)
	bytes := prefix.Addr().AsSlice()
	switch r.IntN(3) {
	case 0:
		for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
			bytes[bit/8] |= byte(r.IntN(2)) << (7 - bit%8)
		}
	case 1:
		bit := r.IntN(len(bytes) * 8)
		bytes[bit/8] ^= 1 << (7 - bit%8)
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

func randomRule(r *rand.Rand, index int) Rule {
	rule := Rule{
		Name:      fmt.Sprintf("rule-%d", index),
		Direction: pick(r, []Direction{Egress, Egress, Ingress}),
		Protocol:  pick(r, []Protocol{TCP, UDP, UDP}),
		Ports:     randomPorts(r),
		Action:    pick(r, []Action{Rewrite, Rewrite, Drop, Pass}),
	}
	if rule.Action == Rewrite {
		rule.To = randomTo(r, rule.Ports)
		rule.OneWay = r.IntN(3) == 0
	}
	for range r.IntN(6) * r.IntN(2) {
		rule.Peers = append(rule.Peers, randomPeer(r))
	}
	return rule
}

// randomRules makes n rules. At least withPeers percent of them have an address
// list, because a rule without one hides the rules after it.
func randomRules(r *rand.Rand, n, withPeers int) []Rule {
	list := make([]Rule, 0, n)
	for len(list) < n {
		rule := randomRule(r, len(list))
		if len(rule.Peers) == 0 && r.IntN(100) < withPeers {
			rule.Peers = slices.Repeat([]netip.Prefix{randomPeer(r)}, 1+r.IntN(2))
		}
		list = append(list, rule)
	}
	return list
}
