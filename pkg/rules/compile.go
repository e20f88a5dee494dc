package rules

import (
	"encoding/binary"
	"fmt"
	"hash"
	"net/netip"
	"slices"

	"crypto/sha256"
)

// Entry bits of a port table; enum port_entry in bpf/types.h.
const (
	entryIDMask    = 0x1fff
	entryIsTarget  = 0x4000
	entryByAddress = 0x8000
)

// tables is the number of port tables, enum port_table in bpf/types.h: one for
// each direction and protocol.
const tables = 4

// MaxPrefixes bounds how many address prefixes rules may compile to, some 64
// bytes of kernel memory each.
const MaxPrefixes = 1 << 20

// Table is a rule list in the form that the kernel looks ports and addresses
// up in.
type Table struct {
	// PortIndex has a page's number for each port table and upper byte of a
	// port. Page 0 has no entry that says anything.
	PortIndex [tables][256]uint16
	Pages     [][256]uint16
	Classes   []Class
	Prefixes  []Prefix

	digest hash.Hash
}

// Class is a set of ports whose rules depend on the peer's address.
type Class struct {
	// Otherwise is one more than the index of the rule for addresses that no
	// prefix contains, 0 for no rule.
	Otherwise uint16
	// IPv4Lengths and IPv6Lengths are the lengths of the class's prefixes in
	// bits, longest first.
	IPv4Lengths, IPv6Lengths []uint8
}

// Prefix says which rule decides packets of a class whose peer's longest
// matching prefix it is.
type Prefix struct {
	Class  uint16 // index
	Prefix netip.Prefix
	Rule   uint16 // one more than the rule's index
}

// Compile turns rules into the kernel's tables. Returns an error if address
// lists of overlapping port ranges would need more than MaxPrefixes prefixes.
func Compile(rules []Rule) (*Table, error) {
	c := compiler{
		rules:   rules,
		pages:   map[[256]uint16]uint16{},
		classes: map[string]uint16{},
	}
	c.page([256]uint16{})
	for table := range tables {
		if err := c.compileTable(table); err != nil {
			return nil, err
		}
	}
	c.table.digest = c.digest()
	return &c.table, nil
}

type compiler struct {
	rules   []Rule
	table   Table
	pages   map[[256]uint16]uint16
	classes map[string]uint16
}

// compileTable fills the pages of one direction and protocol.
func (c *compiler) compileTable(table int) error {
	entries, err := c.entries(table)
	if err != nil {
		return err
	}
	for i := range c.table.PortIndex[table] {
		c.table.PortIndex[table][i] = c.page([256]uint16(entries[i*256 : (i+1)*256]))
	}
	return nil
}

// page returns the number of the page with these entries; equal pages are one.
func (c *compiler) page(entries [256]uint16) uint16 {
	number, ok := c.pages[entries]
	if !ok {
		number = uint16(len(c.table.Pages))
		c.table.Pages = append(c.table.Pages, entries)
		c.pages[entries] = number
	}
	return number
}

// entries returns what each of the 65,536 ports of a table leads to.
func (c *compiler) entries(table int) ([]uint16, error) {
	members := c.membersOf(table)
	entries := make([]uint16, 1<<16)
	for _, in := range cut(c.rules, members) {
		entry, err := c.entry(in.candidates)
		if err != nil {
			return nil, err
		}
		for port := int(in.ports.First); port <= int(in.ports.Last); port++ {
			entries[port] = entry
		}
	}
	c.markTargets(entries, members)
	return entries, nil
}

// membersOf returns the indices of the rules that a table is about, in order.
func (c *compiler) membersOf(table int) []int {
	var members []int
	for i := range c.rules {
		if tableOf(c.rules[i].Direction, c.rules[i].Protocol) == table {
			members = append(members, i)
		}
	}
	return members
}

func tableOf(dir Direction, proto Protocol) int {
	table := 2 * int(dir)
	if proto == UDP {
		table++
	}
	return table
}

// markTargets marks the ports that a two-way rewrite may produce.
func (c *compiler) markTargets(entries []uint16, members []int) {
	for _, i := range members {
		rule := &c.rules[i]
		if rule.Action != Rewrite || rule.OneWay {
			continue
		}
		for port := int(rule.To.First); port <= int(rule.To.Last); port++ {
			entries[port] |= entryIsTarget
		}
	}
}

// entry returns what ports lead to that these rules, in order, are about.
func (c *compiler) entry(candidates []int) (uint16, error) {
	if len(candidates) == 0 {
		return 0, nil
	}
	if first := candidates[0]; len(c.rules[first].Peers) == 0 {
		return uint16(first + 1), nil
	}
	class, err := c.class(candidates)
	return entryByAddress | (class + 1), err
}

// class returns the index of the class of these rules; ports with the same
// rules share one.
func (c *compiler) class(candidates []int) (uint16, error) {
	key := fmt.Sprint(candidates)
	if id, ok := c.classes[key]; ok {
		return id, nil
	}
	id := uint16(len(c.table.Classes))
	class, prefixes := c.buildClass(id, candidates)
	if len(c.table.Prefixes)+len(prefixes) > MaxPrefixes {
		return 0, fmt.Errorf("the address lists of overlapping port ranges need more than %d entries: "+
			"let the ranges of rules with cidrs overlap less, or give them fewer cidrs", MaxPrefixes)
	}
	c.table.Classes = append(c.table.Classes, class)
	c.table.Prefixes = append(c.table.Prefixes, prefixes...)
	c.classes[key] = id
	return id, nil
}

// buildClass gives each prefix the first rule that every address in it
// matches. An address that lies in several prefixes is decided by the longest,
// and the rules of the shorter ones have had their say in that one's value.
func (c *compiler) buildClass(id uint16, candidates []int) (Class, []Prefix) {
	var class Class
	first := map[netip.Prefix]int{}
	for _, i := range candidates {
		if len(c.rules[i].Peers) == 0 {
			class.Otherwise = uint16(i + 1)
		}
		for _, peer := range c.rules[i].Peers {
			if _, ok := first[peer]; !ok {
				first[peer] = i
			}
		}
	}
	class.IPv4Lengths, class.IPv6Lengths = lengths(first)
	prefixes := make([]Prefix, 0, len(first))
	for peer := range first {
		rule := c.firstAround(peer, first, &class)
		prefixes = append(prefixes, Prefix{Class: id, Prefix: peer, Rule: rule})
	}
	slices.SortFunc(prefixes, func(a, b Prefix) int { return a.Prefix.Compare(b.Prefix) })
	return class, prefixes
}

// firstAround returns one more than the index of the first rule of the
// prefixes that contain this one, itself included, and of Otherwise.
func (c *compiler) firstAround(peer netip.Prefix, first map[netip.Prefix]int, class *Class) uint16 {
	rule := uint16(first[peer] + 1)
	if class.Otherwise != 0 {
		rule = min(rule, class.Otherwise)
	}
	around := class.IPv6Lengths
	if peer.Addr().Is4() {
		around = class.IPv4Lengths
	}
	for _, length := range around {
		if int(length) >= peer.Bits() {
			continue
		}
		if i, ok := first[netip.PrefixFrom(peer.Addr(), int(length)).Masked()]; ok {
			rule = min(rule, uint16(i+1))
		}
	}
	return rule
}

// lengths returns the distinct prefix lengths of both families, longest first.
func lengths(prefixes map[netip.Prefix]int) (ipv4, ipv6 []uint8) {
	for prefix := range prefixes {
		bits := uint8(prefix.Bits())
		if prefix.Addr().Is4() {
			ipv4 = append(ipv4, bits)
		} else {
			ipv6 = append(ipv6, bits)
		}
	}
	return longestFirst(ipv4), longestFirst(ipv6)
}

func longestFirst(lengths []uint8) []uint8 {
	slices.Sort(lengths)
	lengths = slices.Compact(lengths)
	slices.Reverse(lengths)
	return lengths
}

// digest feeds all that the kernel and the reader of counters see of the rules
// to a hash.
func (c *compiler) digest() hash.Hash {
	h := sha256.New()
	for _, part := range []any{uint32(len(c.table.Pages)), c.table.PortIndex, c.table.Pages} {
		_ = binary.Write(h, binary.LittleEndian, part) // a hash never fails
	}
	fmt.Fprintln(h, c.table.Classes)
	fmt.Fprintln(h, c.table.Prefixes)
	for i := range c.rules {
		fmt.Fprintf(h, "%+v\n", c.rules[i])
	}
	return h
}

// Digest identifies the table and the rules it was compiled from: equal for
// equal rule lists, names included.
func (t *Table) Digest() [sha256.Size]byte {
	return [sha256.Size]byte(t.digest.Sum(nil))
}
