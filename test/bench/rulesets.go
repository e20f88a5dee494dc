package main

import "fmt"

// ruleKind makes rulesets of any size. The rule for asked is last, so that a walk through the rules
// would show.
type ruleKind struct {
	name string
	rule func(i int, port int) map[string]any
}

var ruleKinds = []ruleKind{
	{"exact ports", func(_, port int) map[string]any {
		return map[string]any{"protocol": "udp", "port": port, "toPort": port - 1}
	}},
	{"ranges", func(_, port int) map[string]any {
		return map[string]any{
			"protocol": "udp", "port": fmt.Sprintf("%d-%d", port, port+9), "toPort": fmt.Sprintf("%d-%d", port+20000, port+20009),
		}
	}},
	{"with cidrs", func(_, port int) map[string]any {
		return map[string]any{
			"protocol": "udp", "port": port, "toPort": port - 1,
			"cidrs": []any{"169.254.20.10/32", "10.98.0.0/15", "fd00::a/128", "fd00:99::/64"},
		}
	}},
	{"one port, a cidr each", func(i, _ int) map[string]any {
		if i == 0 {
			return map[string]any{"protocol": "udp", "port": asked, "toPort": answered, "cidrs": []any{"10.98.0.0/15", "fd00:99::/64"}}
		}
		return map[string]any{
			"protocol": "udp", "port": asked, "toPort": 5000 + i,
			"cidrs": []any{fmt.Sprintf("10.%d.%d.0/24", 100+i/256, i%256), fmt.Sprintf("fd00:%x::/64", 0x100+i)},
		}
	}},
}

// rules returns count rules.
func (k ruleKind) rules(count int) []any {
	rules := make([]any, count)
	for i := range rules {
		rules[count-1-i] = k.rule(i, asked+20*i)
	}
	return rules
}
