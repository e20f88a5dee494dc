package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// MaxRules is how many rules there may be for a container, the network's and
// its own together.
const MaxRules = 1024

// listed is a rule, and where it is written.
type listed struct {
	rules.Rule
	at    object
	sound bool // no mistake was found in it alone
}

// allRules reads the network's rules and puts those of the container behind
// them, where they cannot undo any. It also returns those of the container as
// they were written, nil if there are none.
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

// rulesOf returns the list of rules. It may be empty, but not left out: where
// the key has a typo, nothing would be attached, and nobody would know.
func (p *parser) rulesOf(o object) *value {
	list := o.in("rules")
	switch {
	case list == nil:
		p.report(o.value, "rules is missing: write [] to attach nothing")
	case list.good() && list.isNull():
		p.report(list, "null is not a list of rules: write [] to attach nothing")
	}
	return list
}

func asList(elements []*value) json.RawMessage {
	if len(elements) == 0 {
		return nil
	}
	raw := make([][]byte, len(elements))
	for i, element := range elements {
		raw[i] = element.raw
	}
	return slices.Concat([]byte("["), bytes.Join(raw, []byte(",")), []byte("]"))
}

// list reads rules, wherever they stand.
func (p *parser) list(elements []*value) []listed {
	list := make([]listed, len(elements))
	for i, element := range elements {
		known := len(p.mistakes)
		o := p.ruleObject(element)
		list[i] = listed{Rule: p.rule(o), at: o}
		list[i].sound = len(p.mistakes) == known
	}
	return list
}

// owners are the rules that go by a name.
type owners map[string]*value

// name gives rules without a name their default, rule-N, and refuses a name
// that another rule goes by: counters would mix the two up. A container's rules
// count on where the network's end, but past names that are taken: a container
// is not to fail for a name that the network has chosen.
func (p *parser) name(network, container []listed) {
	taken := make(owners, len(network)+len(container))
	for i := range network {
		if network[i].isUnnamed() {
			taken.give(&network[i], i)
		}
	}
	p.checkNames(network, taken, func(owner *value) string { return owner.place() })
	p.checkNames(container, taken, func(owner *value) string {
		if isAmong(network, owner) { // whose list is called rules, as the container's may be
			return "the network's " + owner.place()
		}
		return owner.place()
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

func (o owners) give(l *listed, n int) {
	l.Name = defaultName(n)
	o[l.Name] = l.at.value
}

func isAmong(list []listed, rule *value) bool {
	return slices.ContainsFunc(list, func(l listed) bool { return l.at.value == rule })
}

func (p *parser) checkNames(list []listed, taken owners, describe func(owner *value) string) {
	for i := range list {
		name := list[i].at.in("name")
		if !name.good() {
			continue
		}
		if owner := taken[list[i].Name]; owner != nil {
			p.report(name, "%s is the name of %s already: choose another", name, describe(owner))
		} else {
			taken[list[i].Name] = list[i].at.value
		}
	}
}
