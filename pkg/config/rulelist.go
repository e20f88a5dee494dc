package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// allRules reads the network's rules, and appends the container's own rules, which cannot
// undo any of them there. It also returns the container's own rules as they were written,
// or nil if there are none.
func (p *parser) allRules(o object, granted grants) (all []rules.Rule, own json.RawMessage) {
	elements := p.elements(p.rulesOf(o), "rules")
	if len(elements) > MaxRules {
		p.report(o.in("rules"), "%d rules are too many (at most %d)", len(elements), MaxRules)
		elements = elements[:MaxRules]
	}
	network := p.list(elements)
	written := p.containerRules(o, granted, len(network))
	container := p.list(written)
	p.limitPeers(container)
	p.name(network, container)
	p.forbidEvasion(network, container)
	if count := len(network) + len(container); count > 0 {
		all = make([]rules.Rule, 0, count)
	}
	for _, part := range [][]listed{network, container} {
		for i := range part {
			all = append(all, part[i].Rule)
		}
	}
	return all, asList(written)
}

// rulesOf returns the list of rules. It may be empty, but not missing: otherwise a typo in
// the key would silently attach nothing.
func (p *parser) rulesOf(o object) *value {
	list := o.in("rules")
	switch {
	case list == nil:
		p.report(o.value, "rules is missing: write [] to attach nothing")
	case list.IsGood() && list.IsNull():
		p.report(list, "null is not a list of rules: write [] to attach nothing")
	}
	return list
}

// asList returns values as the text of a JSON list.
func asList(elements []*value) json.RawMessage {
	if len(elements) == 0 {
		return nil
	}
	raw := make([][]byte, len(elements))
	for i, element := range elements {
		raw[i] = element.Raw()
	}
	return slices.Concat([]byte("["), bytes.Join(raw, []byte(",")), []byte("]"))
}

// list reads rules from any source.
func (p *parser) list(elements []*value) []listed {
	list := make([]listed, len(elements))
	for i, element := range elements {
		known := len(p.problems)
		o := p.ruleObject(element)
		list[i] = listed{Rule: p.rule(o), at: o}
		list[i].sound = len(p.problems) == known
	}
	return list
}

// owners are the rules by their names.
type owners map[string]*value

// name gives rules without a name the default name rule-N, and reports a name that two
// rules have: counters would mix them up.
//
// The numbers of a container's own rules follow the network's. They skip names that are in
// use, so that no container fails because of a name in the network.
func (p *parser) name(network, container []listed) {
	taken := make(owners, len(network)+len(container))
	for i := range network {
		if network[i].isUnnamed() {
			taken.give(&network[i], i)
		}
	}
	p.checkNames(network, taken, func(owner *value) string { return owner.Place() })
	p.checkNames(container, taken, func(owner *value) string {
		if isAmong(network, owner) { // the place in both lists can be rules[N]
			return "the network's " + owner.Place()
		}
		return owner.Place()
	})
	next := len(network)
	for i := range container {
		if !container[i].isUnnamed() {
			continue
		}
		for next = max(next, len(network)+i); taken[defaultName(next)] != nil; {
			next++
		}
		taken.give(&container[i], next)
	}
}

func (l *listed) isUnnamed() bool { return l.at.in("name") == nil }

func defaultName(n int) string { return fmt.Sprintf("rule-%d", n) }

// give gives a rule the default name with a number.
func (o owners) give(l *listed, n int) {
	l.Name = defaultName(n)
	o[l.Name] = l.at.value
}

func isAmong(list []listed, rule *value) bool {
	return slices.ContainsFunc(list, func(l listed) bool { return l.at.value == rule })
}

// checkNames reports names that another rule has. describe names the owner's place.
func (p *parser) checkNames(list []listed, taken owners, describe func(owner *value) string) {
	for i := range list {
		name := list[i].at.in("name")
		if !name.IsGood() {
			continue
		}
		if owner := taken[list[i].Name]; owner != nil {
			p.report(name, "%s is already the name of %s: choose another", name, describe(owner))
		} else {
			taken[list[i].Name] = list[i].at.value
		}
	}
}
