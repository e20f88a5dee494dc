package datapath

import (
	"encoding/binary"
	"net"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// fillTables puts what the rule compiler made into the maps' specifications.
func fillTables(spec *ebpf.CollectionSpec, rs *Ruleset, table *rules.Table) {
	fillArray(spec.Maps[programsMapPortPages], table.Pages, kernelPage)
	fillArray(spec.Maps[programsMapRules], rs.Rules, kernelRule)
	fillArray(spec.Maps[programsMapPortClasses], table.Classes, kernelClass)
	prefixes := spec.Maps[programsMapPeerPrefixes]
	prefixes.MaxEntries = uint32(max(1, len(table.Prefixes)))
	for i := range table.Prefixes {
		key, value := kernelPrefix(&table.Prefixes[i])
		prefixes.Contents = append(prefixes.Contents, ebpf.MapKV{Key: key, Value: value})
	}
}

// fillArray makes an array map of one element at least, which maps must have.
func fillArray[E, V any](spec *ebpf.MapSpec, elements []E, kernel func(*E) V) {
	spec.MaxEntries = uint32(max(1, len(elements)))
	for i := range elements {
		spec.Contents = append(spec.Contents, ebpf.MapKV{
			Key: uint32(i), Value: kernel(&elements[i]),
		})
	}
}

func kernelPage(page *[256]uint16) programsPortPage {
	return programsPortPage{Entry: *page}
}

func kernelRule(rule *rules.Rule) programsRule {
	out := programsRule{
		First:  rule.Ports.First,
		To:     rule.To.First,
		Action: programsRuleAction(rule.Action),
	}
	if rule.OneWay {
		out.Flags |= programsRuleFlagsRULE_ONE_WAY
	}
	if rule.To.Len() == 1 {
		out.Flags |= programsRuleFlagsRULE_TO_ONE
	}
	return out
}

func kernelClass(class *rules.Class) programsPortClass {
	out := programsPortClass{
		DefaultRule:   class.Otherwise,
		Ipv4Lengths: uint8(len(class.IPv4Lengths)),
		Ipv6Lengths: uint8(len(class.IPv6Lengths)),
	}
	for i, length := range class.IPv4Lengths {
		out.Length[i] = length + v4MappedBits
	}
	copy(out.Length[len(class.IPv4Lengths):], class.IPv6Lengths)
	return out
}

// v4MappedBits is how much longer the prefix of a v4-mapped address is (RFC
// 4291 section 2.5.5.2).
const v4MappedBits = 96

func kernelPrefix(prefix *rules.Prefix) (key programsPeerPrefix, value uint32) {
	key = programsPeerPrefix{
		PortClass: prefix.Class,
		Length:    uint8(prefix.Prefix.Bits()),
		Family:    6,
	}
	if prefix.Prefix.Addr().Is4() {
		key.Family = 4
		key.Length += v4MappedBits
	}
	addr := prefix.Prefix.Addr().As16()
	key.Addr = words(addr)
	return key, uint32(prefix.Rule)
}

// words returns an address or a mask, which is in network byte order, as the
// programs load it.
func words(addr [16]byte) [2]uint64 {
	return [2]uint64{
		binary.NativeEndian.Uint64(addr[:8]),
		binary.NativeEndian.Uint64(addr[8:]),
	}
}

// networkMasks returns the masks of all prefix lengths.
func networkMasks() (masks [129][2]uint64) {
	for length := range masks {
		masks[length] = words([16]byte(net.CIDRMask(length, 128)))
	}
	return masks
}
