package config

import (
	"fmt"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// ruleKeys are the keys of a rule, in the order of the documentation.
var ruleKeys = []string{"direction", "protocol", "port", "toPort", "action", "cidrs", "oneWay", "name"}

func (p *parser) ruleObject(v *value) object {
	o, others := p.object(v, ruleKeys)
	for _, m := range others {
		p.refuseKey(&o, m, ruleKeys, "a rule has "+strings.Join(ruleKeys, ", "))
	}
	return o
}

func (p *parser) rule(o object) rules.Rule {
	if !o.isObject() {
		p.report(o.value, `%s is not a rule, an object such as {"protocol": "udp", "port": 53, "toPort": 5353}`, o.value)
		return rules.Rule{}
	}
	rule := rules.Rule{
		Name:      take(p, o.in("name"), "", readRuleName),
		Direction: take(p, o.in("direction"), rules.Egress, readDirection),
		Protocol:  require(p, o, "protocol", `write "tcp" or "udp"`, readProtocol),
		Ports:     take(p, o.in("port"), rules.EveryPort, readPorts),
		Action:    take(p, o.in("action"), rules.Rewrite, readAction),
		To:        take(p, o.in("toPort"), rules.PortRange{}, readPorts),
		Peers:     p.peers(o.in("cidrs")),
		OneWay:    take(p, o.in("oneWay"), false, readBool),
	}
	p.checkAction(o, rule)
	return rule
}

// checkAction holds the action against the other keys. It stays silent about
// an action that is bad itself: nobody can tell what was meant.
func (p *parser) checkAction(o object, rule rules.Rule) {
	action, to := o.in("action"), o.in("toPort")
	switch {
	case action == nil && to == nil:
		p.report(o.value, "a rule needs toPort, or action %q or %q", rules.Drop, rules.Pass)
	case action != nil && action.bad:
	case rule.Action == rules.Rewrite:
		p.checkRewrite(o, rule)
	default:
		p.checkVerdict(o, rule)
	}
}

func (p *parser) checkRewrite(o object, rule rules.Rule) {
	port, to := o.in("port"), o.in("toPort")
	if port == nil {
		p.report(o.value, "port is missing: a rewrite names the ports that it changes")
	}
	if to == nil {
		p.report(o.in("action"), "%q needs toPort", rules.Rewrite)
	}
	if port.good() && to.good() {
		p.checkPorts(to, rule)
	}
}

func (p *parser) checkPorts(to *value, rule rules.Rule) {
	if rule.To == rule.Ports {
		p.report(to, "the same as port, so nothing changes: use action %q to leave packets alone", rules.Pass)
	} else if rule.To.Len() != 1 && rule.To.Len() != rule.Ports.Len() {
		p.report(to, "range of length %d for a port range of length %d: give both the same length, or toPort a single port",
			rule.To.Len(), rule.Ports.Len())
	}
}

// checkVerdict refuses what only a rewrite can use. A rule that has it was
// meant to do something else than it would.
func (p *parser) checkVerdict(o object, rule rules.Rule) {
	if to := o.in("toPort"); to.good() {
		p.report(to, "does not go with action %q: leave one of them out", rule.Action)
	}
	if rule.OneWay {
		p.report(o.in("oneWay"), "does not go with action %q, which has no replies to restore: leave it out", rule.Action)
	}
}

var (
	readDirection = oneOf("a direction", rules.Egress, rules.Ingress)
	readProtocol  = oneOf("a protocol", rules.TCP, rules.UDP)
	readAction    = oneOf("an action", rules.Rewrite, rules.Drop, rules.Pass)
)

func readRuleName(v *value) (string, error) {
	name, _ := v.text()
	if !isRuleName(name) {
		return "", fmt.Errorf("%s is not a name (1 to 63 letters, digits, _ . and -)", v)
	}
	return name, nil
}

func readBool(v *value) (bool, error) {
	text, _ := v.text()
	switch {
	case string(v.raw) == "true":
		return true, nil
	case string(v.raw) == "false":
		return false, nil
	case text == "true" || text == "false":
		return false, inQuotes(v, text)
	}
	return false, fmt.Errorf("%s is neither true nor false", v)
}
