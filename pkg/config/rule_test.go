package config

import (
	"reflect"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

func ports(first, last uint16) rules.PortRange {
	return rules.PortRange{First: first, Last: last}
}

func TestRule(t *testing.T) {
	tests := []struct {
		name, rule string
		want       rules.Rule
	}{
		{
			"drop of everything", `{"protocol": "udp", "action": "drop"}`,
			rules.Rule{Name: "rule-0", Protocol: rules.UDP, Ports: rules.EveryPort, Action: rules.Drop},
		},
		{
			"pass", `{"protocol": "tcp", "port": 1, "action": "pass", "oneWay": false}`,
			rules.Rule{Name: "rule-0", Protocol: rules.TCP, Ports: ports(1, 1), Action: rules.Pass},
		},
		{
			"everything said", `{"name": "A.b_c-9", "direction": "egress", "protocol": "tcp", "port": "1-65535", "toPort": 65535, "action": "rewrite", "oneWay": true}`,
			rules.Rule{Name: "A.b_c-9", Protocol: rules.TCP, Ports: ports(1, 65535), To: ports(65535, 65535), OneWay: true},
		},
		{
			"overlapping ranges", `{"protocol": "tcp", "port": "80-89", "toPort": "85-94"}`,
			rules.Rule{Name: "rule-0", Protocol: rules.TCP, Ports: ports(80, 89), To: ports(85, 94)},
		},
		{
			"range of one", `{"protocol": "tcp", "port": "80-80", "toPort": 81}`,
			rules.Rule{Name: "rule-0", Protocol: rules.TCP, Ports: ports(80, 80), To: ports(81, 81)},
		},
		{
			"escaped key and value", `{"pr\u006ftocol": "\u0074cp", "action": "drop"}`,
			rules.Rule{Name: "rule-0", Protocol: rules.TCP, Ports: rules.EveryPort, Action: rules.Drop},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parse(t, network(`"rules": [`+tt.rule+`]`)).Rules
			if want := []rules.Rule{tt.want}; !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// inRules puts the rules of each test into a configuration.
func inRules(tests []refused) []refused {
	for i := range tests {
		tests[i].stdin = network(`"rules": [` + tests[i].stdin + `]`)
	}
	return tests
}

func TestRuleProblems(t *testing.T) {
	const all = "(a rule has direction, protocol, port, toPort, action, cidrs, oneWay, name)"
	checkRefusals(t, inRules([]refused{
		{"no object", `5`, `rules[0]: 5 is not a rule, an object such as {"protocol": "udp", "port": 53, "toPort": 5353}`},
		{"null", `null`, `rules[0]: null is not a rule, an object such as {"protocol": "udp", "port": 53, "toPort": 5353}`},
		{"empty", `{}`, `rules[0]: protocol is missing: write "tcp" or "udp"; rules[0]: a rule needs toPort, or action "drop" or "pass"`},

		{"key in another case", `{"protocol": "tcp", "Port": 80, "toPort": 81}`, `rules[0].Port: unknown key; did you mean "port"?`},
		{"key in snake case", `{"protocol": "tcp", "port": 80, "toPort": 81, "one_way": true}`, `rules[0].one_way: unknown key; did you mean "oneWay"?`},
		{"key cut short", `{"proto": "tcp", "port": 80, "toPort": 81}`, `rules[0].proto: unknown key; did you mean "protocol"?`},
		{"typo of a key there already", `{"protocol": "tcp", "action": "drop", "actoin": "drop"}`, `rules[0].actoin: unknown key; did you mean "action"?`},
		{"unknown key", `{"protocol": "tcp", "action": "drop", "colour": "red"}`, `rules[0].colour: unknown key ` + all},
		{"odd key", `{"protocol": "tcp", "action": "drop", "a\nb": 1}`, `rules[0]["a\nb"]: unknown key ` + all},
		{"empty key", `{"protocol": "tcp", "action": "drop", "": 1}`, `rules[0][""]: unknown key ` + all},
		{"key twice", `{"protocol": "tcp", "action": "drop", "port": 80, "port": 81}`, `rules[0].port: is given twice: keep one`},
		{"key twice by an escape", `{"protocol": "tcp", "action": "drop", "port": 80, "p\u006frt": 81}`, `rules[0].port: is given twice: keep one`},

		{"no protocol", `{"port": 80, "toPort": 81}`, `rules[0]: protocol is missing: write "tcp" or "udp"`},
		{"protocol without ports", `{"protocol": "icmp", "action": "drop"}`, `rules[0].protocol: "icmp" is not a protocol (tcp or udp)`},
		{"protocol like another", `{"protocol": "sctp", "action": "drop"}`, `rules[0].protocol: "sctp" is not a protocol (tcp or udp)`},
		{"protocol in upper case", `{"protocol": "TCP", "action": "drop"}`, `rules[0].protocol: "TCP" is not a protocol (tcp or udp): did you mean "tcp"?`},
		{"protocol a number", `{"protocol": 6, "action": "drop"}`, `rules[0].protocol: 6 is not a protocol (tcp or udp)`},
		{"protocol null", `{"protocol": null, "action": "drop"}`, `rules[0].protocol: null is no value: write "tcp" or "udp"`},
		{"direction", `{"direction": "in", "protocol": "tcp", "action": "drop"}`, `rules[0].direction: "in" is not a direction (egress or ingress)`},
		{"direction no string", `{"direction": [], "protocol": "tcp", "action": "drop"}`, `rules[0].direction: [] is not a direction (egress or ingress)`},

		{"action unknown", `{"protocol": "tcp", "action": "deny"}`, `rules[0].action: "deny" is not an action (rewrite, drop or pass)`},
		{"action misspelt", `{"protocol": "tcp", "action": "drp"}`, `rules[0].action: "drp" is not an action (rewrite, drop or pass): did you mean "drop"?`},
		{"action no string", `{"protocol": "tcp", "action": false}`, `rules[0].action: false is not an action (rewrite, drop or pass)`},
		{"neither action nor toPort", `{"protocol": "tcp", "port": 80}`, `rules[0]: a rule needs toPort, or action "drop" or "pass"`},
		{"rewrite without toPort", `{"protocol": "tcp", "port": 80, "action": "rewrite"}`, `rules[0].action: "rewrite" needs toPort`},
		{"rewrite without port", `{"protocol": "tcp", "toPort": 80}`, `rules[0]: port is missing: a rewrite needs the ports that it changes`},
		{"drop with toPort", `{"protocol": "tcp", "action": "drop", "toPort": 80}`, `rules[0].toPort: cannot be combined with action "drop": leave one of them out`},
		{"pass with toPort", `{"protocol": "tcp", "action": "pass", "toPort": 80}`, `rules[0].toPort: cannot be combined with action "pass": leave one of them out`},
		{
			"drop with oneWay", `{"protocol": "tcp", "action": "drop", "oneWay": true}`,
			`rules[0].oneWay: cannot be combined with action "drop", which has no replies to translate back: leave it out`,
		},
		{
			"pass with oneWay", `{"protocol": "tcp", "action": "pass", "oneWay": true}`,
			`rules[0].oneWay: cannot be combined with action "pass", which has no replies to translate back: leave it out`,
		},

		{"oneWay quoted", `{"protocol": "tcp", "port": 80, "toPort": 81, "oneWay": "true"}`, `rules[0].oneWay: "true" is a string: write true without quotes`},
		{"oneWay a number", `{"protocol": "tcp", "port": 80, "toPort": 81, "oneWay": 1}`, `rules[0].oneWay: 1 is neither true nor false`},

		{"name empty", `{"protocol": "tcp", "action": "drop", "name": ""}`, `rules[0].name: "" is not a name (1 to 63 letters, digits, _ . and -)`},
		{"name with a space", `{"protocol": "tcp", "action": "drop", "name": "no smtp"}`, `rules[0].name: "no smtp" is not a name (1 to 63 letters, digits, _ . and -)`},
		{"name with a newline", `{"protocol": "tcp", "action": "drop", "name": "a\n"}`, `rules[0].name: "a\n" is not a name (1 to 63 letters, digits, _ . and -)`},
		{
			"name too long", `{"protocol": "tcp", "action": "drop", "name": "a123456789b123456789c123456789d123456789e123456789f123456789g1234"}`,
			`rules[0].name: "a123456789b123456789c123456789d123456789e123456789f123456789g123…" is not a name (1 to 63 letters, digits, _ . and -)`,
		},
		{"name no string", `{"protocol": "tcp", "action": "drop", "name": 5}`, `rules[0].name: 5 is not a name (1 to 63 letters, digits, _ . and -)`},
		{
			"name twice", `{"protocol": "tcp", "action": "drop", "name": "a"}, {"protocol": "tcp", "action": "drop", "name": "a"}`,
			`rules[1].name: "a" is already the name of rules[0]: choose another`,
		},
		{
			"name of another by default", `{"protocol": "tcp", "action": "drop", "name": "rule-1"}, {"protocol": "tcp", "action": "drop"}`,
			`rules[0].name: "rule-1" is already the name of rules[1]: choose another`,
		},
	}))
}

func TestDefaultNameIsFreeWhereUnused(t *testing.T) {
	got := parse(t, network(`"rules": [
		{"protocol": "tcp", "action": "drop", "name": "rule-1"},
		{"protocol": "tcp", "action": "drop", "name": "rule-0"},
		{"protocol": "tcp", "action": "drop"}]`)).Rules
	for i, want := range []string{"rule-1", "rule-0", "rule-2"} {
		if got[i].Name != want {
			t.Errorf("rule %d is named %q, want %q", i, got[i].Name, want)
		}
	}
}
