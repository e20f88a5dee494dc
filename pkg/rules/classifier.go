package rules

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// MaxPrefixes is the number of address prefixes that all classes of a table may
// have together. Each prefix takes about 100 bytes of kernel memory.
const MaxPrefixes = 1 << 20

// classifier builds the classes of one port table.
type classifier struct {
	table *Table
	known map[string]uint16 // class numbers by their candidates
	// prefixes are the distinct prefixes of all rules in ascending order. A prefix
	// comes after the prefixes that contain it.
	prefixes []netip.Prefix
	// byRule holds the indices into prefixes of each rule.
	byRule [][]int
	// deciding holds, by index into prefixes, the first candidate that names the
	// prefix, or -1. It is all -1 between classes.
	deciding []int
	key      []byte
}

func newClassifier(table *Table, mine []int) *classifier {
	c := &classifier{table: table, known: map[string]uint16{}, byRule: make([][]int, len(table.Rules))}
	at := map[netip.Prefix]int{} // indices into prefixes
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

// classOf returns the index of the class with these candidates. It makes the
// class if there is none.
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
		return 0, fmt.Errorf("more than %d sets of ports with different address lists: "+
			"let fewer rules with cidrs overlap in their ports", EntryID)
	}
	class := uint16(number)
	c.known[string(c.key)] = class
	return class, c.add(class, candidates)
}

// add makes a class. Where two candidates name a prefix, the earlier one decides.
// The same holds where a later candidate names a prefix inside the earlier one's.
func (c *classifier) add(number uint16, candidates []int) error {
	class := Class{}
	otherwise, named := c.name(candidates)
	if otherwise >= 0 {
		class.Otherwise = uint16(otherwise + 1)
	}
	first := len(c.table.Prefixes)
	if err := c.addPrefixes(number, named); err != nil {
		return err
	}
	class.setLengths(c.table.Prefixes[first:])
	c.table.Classes = append(c.table.Classes, class)
	return nil
}

// name sets deciding to the first candidate that names each prefix. It returns
// the indices of these prefixes in ascending order, and the candidate that
// decides for all other peers, or -1.
func (c *classifier) name(candidates []int) (otherwise int, named []int) {
	otherwise = -1
	for _, i := range candidates {
		if len(c.byRule[i]) == 0 {
			otherwise = i
		}
		for _, prefix := range c.byRule[i] {
			if c.deciding[prefix] < 0 {
				c.deciding[prefix] = i
				named = append(named, prefix)
			}
		}
	}
	slices.Sort(named)
	return otherwise, named
}

// addPrefixes adds those of the named prefixes that the class needs, and resets
// deciding. It skips a prefix inside a prefix of an earlier rule: the look-up
// finds the wider prefix, and has fewer lengths to try.
func (c *classifier) addPrefixes(class uint16, named []int) error {
	var around []Prefix // the prefixes that contain the current one, widest first
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
		return fmt.Errorf("more than %d address prefixes over all ports: "+
			"merge cidrs, or let fewer rules with long lists overlap in their ports", MaxPrefixes)
	}
	return nil
}
