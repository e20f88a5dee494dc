package rules

import (
	"cmp"
	"fmt"
	"slices"
)

// ports is the number of ports that exist.
const ports = 65536

// MaxRules is the number of rules that an entry can address. It exceeds the
// number of rules that a configuration may have.
const MaxRules = EntryID

// Compile makes the table in which the kernel looks rules up.
//
// The rules must be valid, as pkg/config ensures: ranges ascend, To is as long as
// Ports or a single port, and Peers are masked. The run time grows with the
// number of rules that share a port and with their address lists. MaxPrefixes
// bounds the size of the result. Compile returns an error if there are more
// rules, classes or prefixes than the kernel's table holds.
func Compile(rules []Rule) (*Table, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("compile rules: %d rules, but a table holds at most %d", len(rules), MaxRules)
	}
	c := compiler{
		table: &Table{Rules: rules, Pages: make([][PageSize]uint16, 1)},
		pages: map[[PageSize]uint16]uint16{{}: 0},
	}
	for _, dir := range []Direction{Egress, Ingress} {
		for _, proto := range []Protocol{TCP, UDP} {
			if err := c.compileTable(dir, proto); err != nil {
				return nil, fmt.Errorf("compile rules: %w", err)
			}
		}
	}
	return c.table, nil
}

type compiler struct {
	table *Table
	pages map[[PageSize]uint16]uint16 // page numbers by content; equal pages are stored once
}

func (c *compiler) compileTable(dir Direction, proto Protocol) error {
	mine := ofTable(c.table.Rules, dir, proto)
	if len(mine) == 0 {
		return nil
	}
	entries := make([]uint16, ports)
	if err := c.decide(entries, mine); err != nil {
		return err
	}
	markTargets(entries, c.table.Rules, mine)
	c.store(TableOf(dir, proto), entries)
	return nil
}

// decide stores the deciding rule or class of each port, interval by interval.
func (c *compiler) decide(entries []uint16, mine []int) error {
	rules := c.table.Rules
	classes := newClassifier(c.table, mine)
	for interval := range intervals(rules, mine) {
		var entry uint16
		switch candidates := interval.rules; {
		case len(candidates) == 0:
			continue
		case len(rules[candidates[0]].Peers) == 0:
			entry = uint16(candidates[0] + 1)
		default:
			class, err := classes.classOf(candidates)
			if err != nil {
				return err
			}
			entry = EntryByAddress | (class + 1)
		}
		for port := interval.first; port < interval.end; port++ {
			entries[port] = entry
		}
	}
	return nil
}

// markTargets sets EntryIsOutput and EntryIsTarget.
func markTargets(entries []uint16, rules []Rule, mine []int) {
	mark(entries, EntryIsOutput, rules, mine, func(r *Rule) bool { return r.Action == Rewrite })
	mark(entries, EntryIsTarget, rules, mine, func(r *Rule) bool { return r.Action == Rewrite && !r.OneWay })
}

// mark sets a bit for every port that an applicable rule may rewrite to. It walks
// the target ranges in ascending order and visits each port once, so that many
// rules with the same target ports cost no more than one.
func mark(entries []uint16, bit uint16, rules []Rule, mine []int, applies func(*Rule) bool) {
	var targets []PortRange
	for _, i := range mine {
		if r := &rules[i]; applies(r) {
			targets = append(targets, r.To)
		}
	}
	slices.SortFunc(targets, func(a, b PortRange) int { return cmp.Compare(a.First, b.First) })
	marked := 0 // ports below this one are done
	for _, to := range targets {
		for marked = max(marked, int(to.First)); marked <= int(to.Last); marked++ {
			entries[marked] |= bit
		}
	}
}

func (c *compiler) store(table int, entries []uint16) {
	for i := range c.table.PortIndex[table] {
		page := [PageSize]uint16(entries[i*PageSize:])
		number, known := c.pages[page]
		if !known {
			number = uint16(len(c.table.Pages))
			c.table.Pages = append(c.table.Pages, page)
			c.pages[page] = number
		}
		c.table.PortIndex[table][i] = number
	}
}
