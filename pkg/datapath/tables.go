package datapath

import (
	"net"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// fillTables puts what the rule compiler made into the maps' specifications.
func fillTables(spec *ebpf.CollectionSpec, rs *Ruleset, table *rules.Table) {
	fillArray(spec.Maps[bpf.ProgramsMapPortPages], table.Pages, kernelPage)
	fillArray(spec.Maps[bpf.ProgramsMapRules], rs.Rules, kernelRule)
	fillArray(spec.Maps[bpf.ProgramsMapPortClasses], table.Classes, kernelClass)
	prefixes := spec.Maps[bpf.ProgramsMapPeerPrefixes]
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

func kernelPage(page *[256]uint16) bpf.ProgramsPortPage {
	return bpf.ProgramsPortPage{Entry: *page}
}

func kernelRule(rule *rules.Rule) bpf.ProgramsRule {
	out := bpf.ProgramsRule{
		First:  rule.Ports.First,
		To:     rule.To.First,
		Action: bpf.ProgramsRuleAction(rule.Action),
	}
	if rule.OneWay {
		out.Flags |= bpf.ProgramsRuleFlagsRULE_ONE_WAY
	}
	if rule.To.Len() == 1 {
		out.Flags |= bpf.ProgramsRuleFlagsRULE_TO_ONE
	}
	return out
}

func kernelClass(class *rules.Class) bpf.ProgramsPortClass {
	out := bpf.ProgramsPortClass{
		DefaultRule: class.Otherwise,
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

func kernelPrefix(prefix *rules.Prefix) (key bpf.ProgramsPeerPrefix, value uint32) {
	key = bpf.ProgramsPeerPrefix{
		PortClass: prefix.Class,
		Length:    uint8(prefix.Prefix.Bits()),
		Family:    6,
	}
	if prefix.Prefix.Addr().Is4() {
		key.Family = 4
		key.Length += v4MappedBits
	}
	addr := prefix.Prefix.Addr().As16()
	key.Addr = bpf.Words(addr)
	return key, uint32(prefix.Rule)
}

// networkMasks returns the masks of all prefix lengths.
func networkMasks() (masks [129][2]uint64) {
	for length := range masks {
		masks[length] = bpf.Words([16]byte(net.CIDRMask(length, 128)))
	}
	return masks
}
