package rules

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// MaxPrefixes is the number of address prefixes that the port classes of a
// table may have together. Each costs about a hundred bytes of kernel memory.
const MaxPrefixes = 1 << 20

// classifier makes the classes of one port table.
type classifier struct {
	table *Table
	known map[string]uint16 // classes by their candidates
	// prefixes are the distinct ones of all the rules, ascending, which puts
	// each behind those that it lies in.
	prefixes []netip.Prefix
	// byRule are indices into prefixes, by index of the rule.
	byRule [][]int
	// deciding is the first rule of the class at hand that names a prefix, by
	// index into prefixes; -1 for none.
	deciding []int
	key      []byte
}

func newClassifier(table *Table, mine []int) *classifier {
	c := &classifier{table: table, known: map[string]uint16{}, byRule: make([][]int, len(table.Rules))}
	at := map[netip.Prefix]int{} // where in prefixes
	for _, i := range mine {
		for _, peer := range table.Rules[i].Peers {
			at[peer] = 0
		}
	}
	c.prefixes = slices.SortedFunc(maps.Keys(at), netip.Prefix.Compare)
	for i, prefix := range c.prefixes {
		at[prefix] = i
	}
	for _, i := range mine {
		for _, peer := range table.Rules[i].Peers {
			c.byRule[i] = append(c.byRule[i], at[peer])
		}
	}
	c.deciding = slices.Repeat([]int{-1}, len(c.prefixes))
	return c
}

// classOf returns the index of the class with these candidates, an existing
// one if there is one.
func (c *classifier) classOf(candidates []int) (uint16, error) {
	c.key = c.key[:0]
	for _, i := range candidates {
		c.key = binary.NativeEndian.AppendUint16(c.key, uint16(i))
	}
	if class, found := c.known[string(c.key)]; found {
		return class, nil
	}
	number := len(c.table.Classes)
	if number >= EntryID {
		return 0, fmt.Errorf("more than %d sets of ports with address lists of their own; "+
			"let fewer rules with cidrs overlap in their ports", EntryID)
	}
	class := uint16(number)
	c.known[string(c.key)] = class
	return class, c.add(class, candidates)
}

// add makes a class. No later candidate than the first decides for a prefix
// that both name, nor does one for a prefix inside of another's.
func (c *classifier) add(number uint16, candidates []int) error {
	class := Class{}
	var named []int // indices into prefixes
	for _, i := range candidates {
		if len(c.byRule[i]) == 0 {
			class.Otherwise = uint16(i + 1)
		}
		for _, prefix := range c.byRule[i] {
			if c.deciding[prefix] < 0 {
				c.deciding[prefix] = i
				named = append(named, prefix)
			}
		}
	}
	slices.Sort(named)
	first := len(c.table.Prefixes)
	if err := c.addPrefixes(number, named); err != nil {
		return err
	}
	class.setLengths(c.table.Prefixes[first:])
	c.table.Classes = append(c.table.Classes, class)
	return nil
}

// addPrefixes adds what the class needs of the prefixes named, ascending, and
// leaves deciding clean. A prefix that lies in another one of an earlier rule
// is left out: the look-up finds the wider one, and has fewer lengths to try.
func (c *classifier) addPrefixes(class uint16, named []int) error {
	var around []Prefix // those that the prefix at hand lies in, widest first
	for _, i := range named {
		prefix := Prefix{Class: class, Prefix: c.prefixes[i], Rule: uint16(c.deciding[i] + 1)}
		c.deciding[i] = -1
		for len(around) > 0 && !around[len(around)-1].Prefix.Contains(prefix.Prefix.Addr()) {
			around = around[:len(around)-1]
		}
		if len(around) > 0 && around[len(around)-1].Rule <= prefix.Rule {
			continue
		}
		around = append(around, prefix)
		c.table.Prefixes = append(c.table.Prefixes, prefix)
	}
	if len(c.table.Prefixes) > MaxPrefixes {
		return fmt.Errorf("more than %d address prefixes over all ports; "+
			"merge cidrs, or let fewer rules with long lists overlap in their ports", MaxPrefixes)
	}
	return nil
}

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
