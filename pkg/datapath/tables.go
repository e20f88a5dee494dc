package datapath

import (
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
		Otherwise:   class.Otherwise,
		Ipv4Lengths: uint8(len(class.IPv4Lengths)),
		Ipv6Lengths: uint8(len(class.IPv6Lengths)),
	}
	copy(out.Ipv4Length[:], class.IPv4Lengths)
	copy(out.Ipv6Length[:], class.IPv6Lengths)
	return out
}

func kernelPrefix(prefix *rules.Prefix) (key programsPeerPrefix, value uint32) {
	key = programsPeerPrefix{
		PortClass: prefix.Class,
		Length:    uint8(prefix.Prefix.Bits()),
		Family:    6,
	}
	if prefix.Prefix.Addr().Is4() {
		key.Family = 4
	}
	copy(key.Addr[:], prefix.Prefix.Addr().AsSlice())
	return key, uint32(prefix.Rule)
}
