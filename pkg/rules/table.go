package rules

import (
	"cmp"
	"net/netip"
	"slices"
)

// PageSize is the number of ports in a page. It equals PORT_PAGE_SIZE of bpf/types.h.
const PageSize = 256

// Tables is the number of port tables, one for each direction and protocol. It
// equals PORT_TABLES of bpf/types.h.
const Tables = 4

// The bits of an entry of a page. They mirror enum port_entry of bpf/types.h.
const (
	// EntryID masks the number of a rule or class: its index plus 1, or 0 for none.
	EntryID = 0x1fff
	// EntryIsTarget marks a port that a two-way rewrite may produce.
	EntryIsTarget = 0x4000
	// EntryIsOutput marks a port that any rewrite may produce. A packet to it may
	// have been rewritten already.
	EntryIsOutput = 0x2000
	// EntryByAddress marks an entry that holds the number of a class instead of a rule.
	EntryByAddress = 0x8000
)

// Table is a list of rules in the form in which the kernel looks them up. The
// same rules always compile to the same Table.
type Table struct {
	// Rules are the rules in order. The other fields refer to them by index.
	Rules []Rule
	// PortIndex holds page numbers by TableOf and the port's upper byte.
	PortIndex [Tables][PageSize]uint16
	// Pages hold an entry for each port by its lower byte. Page 0 is all zeros.
	Pages [][PageSize]uint16
	// Classes are the sets of ports where the peer's address selects the rule.
	Classes []Class
	// Prefixes are the address lists of all classes. They are sorted by class,
	// family, address and length.
	Prefixes []Prefix
}

// Class is a set of ports of one table that the same rules match, at least one of
// them only for certain peers.
type Class struct {
	// Otherwise is the rule for peers outside all prefixes: its index plus 1, or 0
	// for no rule.
	Otherwise uint16
	// IPv4Lengths and IPv6Lengths are the distinct prefix lengths in bits, the
	// longest first.
	IPv4Lengths, IPv6Lengths []uint8
}

// setLengths collects the lengths of the class's prefixes.
func (c *Class) setLengths(prefixes []Prefix) {
	for _, p := range prefixes {
		lengths := &c.IPv6Lengths
		if p.Prefix.Addr().Is4() {
			lengths = &c.IPv4Lengths
		}
		if length := uint8(p.Prefix.Bits()); !slices.Contains(*lengths, length) {
			*lengths = append(*lengths, length)
		}
	}
	for _, lengths := range []*[]uint8{&c.IPv4Lengths, &c.IPv6Lengths} {
		slices.Sort(*lengths)
		slices.Reverse(*lengths)
	}
}

// Prefix names the rule for the peers inside it. A longer prefix of the same
// class takes precedence.
type Prefix struct {
	// Class is an index into Classes.
	Class uint16
	// Prefix is masked.
	Prefix netip.Prefix
	// Rule is the index of the rule plus 1, never 0.
	Rule uint16
}

// TableOf returns the number of the port table for a direction and protocol. It
// equals enum port_table of bpf/types.h.
func TableOf(dir Direction, proto Protocol) int {
	table := int(dir) * 2
	if proto == UDP {
		table++
	}
	return table
}

// Lookup looks a packet up as the kernel does. It returns the index of the rule
// that decides, or -1, and whether a two-way rewrite of this direction and
// protocol may produce the port. The rule is always the one that Decide returns.
func (t *Table) Lookup(dir Direction, proto Protocol, port uint16, peer netip.Addr) (rule int, target bool) {
	page := t.PortIndex[TableOf(dir, proto)][port/PageSize]
	entry := t.Pages[page][port%PageSize]
	id := entry & EntryID
	if entry&EntryByAddress != 0 {
		id = t.byAddress(id-1, peer)
	}
	return int(id) - 1, entry&EntryIsTarget != 0
}

// byAddress returns the index of the rule for a peer plus 1, or 0 for no rule.
func (t *Table) byAddress(class uint16, peer netip.Addr) uint16 {
	lengths := t.Classes[class].IPv6Lengths
	if peer.Is4() {
		lengths = t.Classes[class].IPv4Lengths
	}
	for _, length := range lengths {
		masked, _ := peer.Prefix(int(length)) // no error: the length fits the family
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
