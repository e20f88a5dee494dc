package config

import (
	"fmt"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// MaxRules is the number of rules that a container may have: the network's and its own
// together.
const MaxRules = 1024

// listed is a rule and its place.
type listed struct {
	rules.Rule
	at    object
	sound bool // the rule alone has no problem
}

// ruleObject reads the keys of a rule.
func (p *parser) ruleObject(v *value) object {
	o, others := p.object(v, ruleKeys)
	for _, m := range others {
		p.refuseKey(&o, m, ruleKeys, "a rule has "+strings.Join(ruleKeys, ", "))
	}
	return o
}

// rule reads a rule.
func (p *parser) rule(o object) rules.Rule {
	if !o.IsObject() {
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

// checkAction compares the action with the other keys. It skips a rejected action, because
// its meaning is unknown.
func (p *parser) checkAction(o object, rule rules.Rule) {
	action, to := o.in("action"), o.in("toPort")
	switch {
	case action == nil && to == nil:
		p.report(o.value, "a rule needs toPort, or action %q or %q", rules.Drop, rules.Pass)
	case action != nil && action.IsRejected():
	case rule.Action == rules.Rewrite:
		p.checkRewrite(o, rule)
	default:
		p.checkVerdict(o, rule)
	}
}

func (p *parser) checkRewrite(o object, rule rules.Rule) {
	port, to := o.in("port"), o.in("toPort")
	if port == nil {
		p.report(o.value, "port is missing: a rewrite needs the ports that it changes")
	}
	if to == nil {
		p.report(o.in("action"), "%q needs toPort", rules.Rewrite)
	}
	if port.IsGood() && to.IsGood() {
		p.checkPorts(to, rule)
	}
}

func (p *parser) checkPorts(to *value, rule rules.Rule) {
	if rule.To == rule.Ports {
		p.report(to, "is the same as port, so nothing changes: use action %q to leave packets alone", rules.Pass)
	} else if rule.To.Len() != 1 && rule.To.Len() != rule.Ports.Len() {
		p.report(to, "has %d ports, but port has %d: give both the same length, or toPort a single port",
			rule.To.Len(), rule.Ports.Len())
	}
}

// checkVerdict reports keys that only a rewrite can use. Their author expects more than the
// rule does.
func (p *parser) checkVerdict(o object, rule rules.Rule) {
	if to := o.in("toPort"); to.IsGood() {
		p.report(to, "cannot be combined with action %q: leave one of them out", rule.Action)
	}
	if rule.OneWay {
		p.report(o.in("oneWay"), "cannot be combined with action %q, which has no replies to translate back: leave it out", rule.Action)
	}
}

var (
	readDirection = oneOf("a direction", rules.Egress, rules.Ingress)
	readProtocol  = oneOf("a protocol", rules.TCP, rules.UDP)
	readAction    = oneOf("an action", rules.Rewrite, rules.Drop, rules.Pass)
)

// A rule's name is [A-Za-z0-9_.-]{1,63}. Compiling a regular expression takes longer than
// the rest of the plugin's start.
const (
	maxRuleName    = 63
	nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
)

func readRuleName(v *value) (string, error) {
	name, _ := v.Text()
	if name == "" || len(name) > maxRuleName || strings.Trim(name, nameCharacters) != "" {
		return "", fmt.Errorf("%s is not a name (1 to 63 letters, digits, _ . and -)", v)
	}
	return name, nil
}

func readBool(v *value) (bool, error) {
	text, _ := v.Text()
	switch {
	case string(v.Raw()) == "true":
		return true, nil
	case string(v.Raw()) == "false":
		return false, nil
	case text == "true" || text == "false":
		return false, inQuotes(v, text)
	}
	return false, fmt.Errorf("%s is neither true nor false", v)
}
