package rules

import (
	"cmp"
	"net/netip"
	"slices"
)

// PageSize is the number of ports in a page, PORT_PAGE_SIZE of bpf/types.h.
const PageSize = 256

// Tables is the number of port tables, PORT_TABLES of bpf/types.h: one for
// each direction and protocol.
const Tables = 4

// The bits of an entry of a page. They mirror enum port_entry of bpf/types.h.
const (
	// EntryID is one more than the index of a rule or class, 0 for neither.
	EntryID = 0x1fff
	// EntryIsTarget marks a port that a two-way rewrite may produce.
	EntryIsTarget = 0x4000
	// EntryIsOutput marks a port that any rewrite may produce: a packet on its
	// way there may have been rewritten already.
	EntryIsOutput = 0x2000
	// EntryByAddress says that EntryID numbers a class and not a rule.
	EntryByAddress = 0x8000
)

// Table is a list of rules in the form that the kernel looks them up in. The
// same rules always give the same Table.
type Table struct {
	// Rules are the rules in order; what the rest calls a rule is an index
	// into them.
	Rules []Rule
	// PortIndex holds the page of 256 ports by TableOf and the port's upper byte.
	PortIndex [Tables][PageSize]uint16
	// Pages hold an entry for each port by its lower byte. Page 0 is all zeros.
	Pages [][PageSize]uint16
	// Classes are the sets of ports whose rules depend on the peer's address.
	Classes []Class
	// Prefixes are the address lists of all classes, in ascending order of
	// class, family, address and length.
	Prefixes []Prefix
}

// Class is a set of ports of one table that the same rules are about, some of
// them limited to certain peers.
type Class struct {
	// Otherwise is one more than the index of the rule for peers without a
	// prefix, 0 for no rule.
	Otherwise uint16
	// IPv4Lengths and IPv6Lengths are the distinct prefix lengths in bits,
	// longest first.
	IPv4Lengths, IPv6Lengths []uint8
}

// Prefix says which rule decides for the peers in it that are in no longer
// prefix of the same class.
type Prefix struct {
	// Class is an index into Classes.
	Class uint16
	// Prefix is masked.
	Prefix netip.Prefix
	// Rule is one more than the index of a rule, never 0.
	Rule uint16
}

// TableOf returns the number of the port table of a direction and protocol,
// as enum port_table of bpf/types.h has it.
func TableOf(dir Direction, proto Protocol) int {
	table := int(dir) * 2
	if proto == UDP {
		table++
	}
	return table
}

// Lookup does what the kernel does with the table: it returns the index of the
// rule that decides, or -1, and whether the port is one that a two-way rewrite
// of this direction and protocol may produce. The rule is that of Decide.
func (t *Table) Lookup(dir Direction, proto Protocol, port uint16, peer netip.Addr) (rule int, target bool) {
	page := t.PortIndex[TableOf(dir, proto)][port/PageSize]
	entry := t.Pages[page][port%PageSize]
	id := entry & EntryID
	if entry&EntryByAddress != 0 {
		id = t.byAddress(id-1, peer)
	}
	return int(id) - 1, entry&EntryIsTarget != 0
}

// byAddress returns one more than the index of the rule for a peer, 0 for none.
func (t *Table) byAddress(class uint16, peer netip.Addr) uint16 {
	lengths := t.Classes[class].IPv6Lengths
	if peer.Is4() {
		lengths = t.Classes[class].IPv4Lengths
	}
	for _, length := range lengths {
		masked, _ := peer.Prefix(int(length)) // no error: lengths are those of the family
		key := Prefix{Class: class, Prefix: masked}
		if i, found := slices.BinarySearchFunc(t.Prefixes, key, comparePrefixes); found {
			return t.Prefixes[i].Rule
		}
	}
	return t.Classes[class].Otherwise
}

func comparePrefixes(a, b Prefix) int {
	return cmp.Or(cmp.Compare(a.Class, b.Class), a.Prefix.Compare(b.Prefix))
}
