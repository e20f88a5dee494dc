package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	declareRules       = `"capabilities": {"xdpPortRules": true}, `
	declareAnnotations = `"capabilities": {"io.kubernetes.cri.pod-annotations": true}, `
	declareBoth        = `"capabilities": {"xdpPortRules": true, "io.kubernetes.cri.pod-annotations": true}, `
)

// annotated returns a runtimeConfig with the text as annotation.
func annotated(text string) string {
	return `"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"other": "{", "xdp-port/rules": ` + strconv.Quote(text) + `}}`
}

// drops returns a list of rules that each drop one port, in sequence from the first.
func drops(first, count int) string {
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprintf(`{"protocol": "udp", "action": "drop", "port": %d}`, first+i)
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// dropsTo returns a rule that drops packets to a number of addresses.
func dropsTo(addresses int) string {
	list := make([]string, addresses)
	for i := range list {
		list[i] = fmt.Sprintf(`"10.0.%d.%d/32"`, i>>8, i&0xff)
	}
	return `{"protocol": "udp", "action": "drop", "cidrs": [` + strings.Join(list, ", ") + `]}`
}

// shape returns a network's rules as name:port.
func shape(n *Network) string {
	var shapes []string
	for _, r := range n.Rules {
		shapes = append(shapes, fmt.Sprintf("%s:%d", r.Name, r.Ports.First))
	}
	return strings.Join(shapes, " ")
}

func TestContainerRules(t *testing.T) {
	everywhere := `"args": {"cni": {"xdpPortRules": ` + drops(30, 1) + `}}, "runtimeConfig": {"xdpPortRules": ` + drops(10, 2) + `,
		"io.kubernetes.cri.pod-annotations": {"xdp-port/rules": ` + strconv.Quote(drops(20, 1)) + `}}, "rules": ` + drops(1, 2)
	tests := []struct{ name, members, want string }{
		{"a list", declareRules + `"runtimeConfig": {"xdpPortRules": ` + drops(10, 2) + `}`, "rule-0:10 rule-1:11"},
		{"an annotation", declareAnnotations + annotated(" \n"+drops(20, 2)+"\n"), "rule-0:20 rule-1:21"},
		{"args", declareRules + `"args": {"cni": {"xdpPortRules": ` + drops(30, 1) + `}}`, "rule-0:30"},
		{"all, in order", declareBoth + everywhere, "rule-0:1 rule-1:2 rule-2:10 rule-3:11 rule-4:20 rule-5:30"},
		{"the rules alone declared", declareRules + everywhere, "rule-0:1 rule-1:2 rule-2:10 rule-3:11 rule-4:30"},
		{"annotations alone declared", declareAnnotations + everywhere, "rule-0:1 rule-1:2 rule-2:20"},
		{"the declaration taken out", everywhere, "rule-0:1 rule-1:2 rule-2:10 rule-3:11 rule-4:20"},
		{"nothing declared", `"capabilities": {}, ` + everywhere, "rule-0:1 rule-1:2"},
		{"declared as false", `"capabilities": {"xdpPortRules": false, "portMappings": true}, ` + everywhere, "rule-0:1 rule-1:2"},
		{"declared as null", `"capabilities": null, ` + everywhere, "rule-0:1 rule-1:2"},
		{"as many prefixes as may be", declareAnnotations + annotated("["+dropsTo(1024)+"]"), "rule-0:0"},
		{"the network's prefixes do not count", declareBoth + `"rules": [` + dropsTo(5000) + `], ` + annotated("["+dropsTo(1024)+"]"), ""},
		{"as many as may be", declareRules + `"rules": ` + drops(1, 960) + `, "args": {"cni": {"xdpPortRules": ` + drops(2000, 64) + `}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := parse(t, network(tt.members))
			if got := shape(n); got != tt.want && tt.want != "" {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestNoContainerRules has missing and empty sources.
func TestNoContainerRules(t *testing.T) {
	for _, members := range []string{
		`"runtimeConfig": null, "args": null`,
		`"runtimeConfig": {}, "args": {}`,
		`"runtimeConfig": {"xdpPortRules": null}, "args": {"cni": null}`,
		`"runtimeConfig": {"xdpPortRules": []}, "args": {"cni": {"xdpPortRules": []}}`,
		`"runtimeConfig": {"xdpPortRules": ""}, "args": {"cni": {"xdpPortRules": ""}}`,
		`"runtimeConfig": {"io.kubernetes.cri.pod-annotations": null}`,
		`"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {}}`,
		`"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"xdp-port/rules": null}}`,
		annotated(""), annotated(" \n\t"), annotated(" [ ] "),
	} {
		if n := parse(t, network(declareBoth+members)); len(n.Rules) != 0 {
			t.Errorf("%s: got %s", members, shape(n))
		}
	}
}

// TestUndeclaredIsNotRead has wrong values in sources that are not declared.
func TestUndeclaredIsNotRead(t *testing.T) {
	for _, members := range []string{
		`"args": {"cni": {"xdpPortRules": 5}}`,
		`"capabilities": {}, "runtimeConfig": {"xdpPortRules": [{}]}, "args": {"cni": {"xdpPortRules": 5}}`,
		`"capabilities": {}, "runtimeConfig": {"xdpPortRules": 1, "xdpPortRules": 2}, "args": [1]`,
		`"capabilities": {}, ` + annotated("["),
		declareAnnotations + `"args": 5, "runtimeConfig": {"xdpPortRules": [{}]}`,
		declareRules + annotated("["),
	} {
		if n := parse(t, network(members)); len(n.Rules) != 0 {
			t.Errorf("%s: got %s", members, shape(n))
		}
	}
}

func TestContainerRuleNames(t *testing.T) {
	rule := func(name string) string {
		return `{"protocol": "tcp", "action": "drop", "name": "` + name + `"}`
	}
	const unnamed = `{"protocol": "tcp", "action": "drop"}`
	n := parse(t, network(declareRules+`"rules": [`+unnamed+`, `+rule("rule-3")+`, `+rule("smtp")+`],
		"runtimeConfig": {"xdpPortRules": [`+unnamed+`, `+rule("rule-5")+`, `+unnamed+`]},
		"args": {"cni": {"xdpPortRules": [`+unnamed+`, `+rule("mine")+`]}}`))
	var names []string
	for _, r := range n.Rules {
		names = append(names, r.Name)
	}
	// By place they are rule-3, rule-5 and rule-6, but two of these are taken.
	want := []string{"rule-0", "rule-3", "smtp", "rule-4", "rule-5", "rule-6", "rule-7", "mine"}
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestContainerRuleProblems(t *testing.T) {
	const good = `{"protocol": "udp", "action": "drop"}`
	checkRefusals(t, []refused{
		{
			"in a list", network(declareRules + `"runtimeConfig": {"xdpPortRules": [{"protocol": "udp", "port": 0, "toPort": 1}]}`),
			`runtimeConfig.xdpPortRules[0].port: 0 is not a port (1-65535)`,
		},
		{
			"in args", network(declareRules + `"args": {"cni": {"xdpPortRules": [` + good + `, 5]}}`),
			`args.cni.xdpPortRules[1]: 5 is not a rule, an object such as {"protocol": "udp", "port": 53, "toPort": 5353}`,
		},
		{
			"in an annotation", network(declareAnnotations + annotated(`[`+good+`, {"protocol": "udp", "port": 1, "toPort": 70000}]`)),
			`annotation xdp-port/rules: rules[1].toPort: 70000 is not a port (1-65535)`,
		},
		{
			"an odd key in an annotation", network(declareAnnotations + annotated(`[{"protocol": "udp", "action": "drop", "x y": 1}]`)),
			`annotation xdp-port/rules: rules[0]["x y"]: unknown key (a rule has direction, protocol, port, toPort, action, cidrs, oneWay, name)`,
		},
		{
			"a key twice in an annotation", network(declareAnnotations + annotated(`[{"protocol": "udp", "action": "drop", "action": "pass"}]`)),
			`annotation xdp-port/rules: rules[0].action: is given twice: keep one`,
		},
		{
			"a broken annotation", network(declareAnnotations + annotated("[\n  {\"protocol\": \"udp\",}\n]")),
			`annotation xdp-port/rules: line 2, column 22: invalid character '}' looking for beginning of object key string`,
		},
		{
			"an annotation cut off", network(declareAnnotations + annotated(`[{`)),
			`annotation xdp-port/rules: line 1, column 2: unexpected end of JSON input`,
		},
		{
			"an annotation in YAML", network(declareAnnotations + annotated("- protocol: udp\n")),
			`annotation xdp-port/rules: line 1, column 2: invalid character ' ' in numeric literal`,
		},
		{
			"an annotation that is no list", network(declareAnnotations + annotated(good)),
			`annotation xdp-port/rules: {"protocol":"udp","action":"drop"} is not a list of rules: a JSON array is expected, [] for none`,
		},
		{"an annotation null", network(declareAnnotations + annotated("null")), `annotation xdp-port/rules: null is not a list of rules: a JSON array is expected, [] for none`},
		{"an annotation in quotes", network(declareAnnotations + annotated(` "" `)), `annotation xdp-port/rules: "" is not a list of rules: a JSON array is expected, [] for none`},
		{"an annotation with a byte order mark", network(declareAnnotations + annotated("\ufeff[]")), `annotation xdp-port/rules: line 1, column 1: starts with a byte order mark (U+FEFF): save it without`},
		{"an annotation of words", network(declareAnnotations + annotated("Äpfel")), `annotation xdp-port/rules: line 1, column 1: invalid character 'Ä' (U+00C4) looking for beginning of value`},
		{
			"an annotation that is no string", network(declareAnnotations + `"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"xdp-port/rules": [` + good + `]}}`),
			`annotation xdp-port/rules: [{"protocol":"udp","action":"drop"}] is not a string: an annotation contains the list of rules as JSON text`,
		},
		{"no list", network(declareRules + `"runtimeConfig": {"xdpPortRules": {}}`), `runtimeConfig.xdpPortRules: {} is not a list of rules`},
		{"JSON text in a list's place", network(declareRules + `"args": {"cni": {"xdpPortRules": "[]"}}`), `args.cni.xdpPortRules: "[]" is not a list of rules`},
		{"list twice", network(declareRules + `"runtimeConfig": {"xdpPortRules": [], "xdpPortRules": []}`), `runtimeConfig.xdpPortRules: is given twice: keep one`},
		{"runtimeConfig no object", network(declareRules + `"runtimeConfig": []`), `runtimeConfig: [] is not an object`},
		{"args no object", network(declareRules + `"args": {"cni": "x"}`), `args.cni: "x" is not an object`},
		{
			"annotations no object", network(declareAnnotations + `"runtimeConfig": {"io.kubernetes.cri.pod-annotations": 5}`),
			`runtimeConfig["io.kubernetes.cri.pod-annotations"]: 5 is not an object`,
		},
		{"capabilities no object", network(`"capabilities": ["xdpPortRules"]`), `capabilities: ["xdpPortRules"] is not an object`},
		{"capability no boolean", network(`"capabilities": {"xdpPortRules": "true"}`), `capabilities.xdpPortRules: "true" is a string: write true without quotes`},
		{"capability twice", network(`"capabilities": {"xdpPortRules": true, "xdpPortRules": false}`), `capabilities.xdpPortRules: is given twice: keep one`},

		{
			"too many", network(declareAnnotations + annotated(drops(1, 65))),
			`annotation xdp-port/rules: 65 rules for one container are too many (at most 64 from all sources together)`,
		},
		{
			"too many together", network(declareRules + `"runtimeConfig": {"xdpPortRules": ` + drops(1, 60) + `}, "args": {"cni": {"xdpPortRules": ` + drops(100, 5) + `}}`),
			`args.cni.xdpPortRules: 65 rules for one container are too many (at most 64 from all sources together)`,
		},
		{
			"too many beside the network's", network(declareRules + `"rules": ` + drops(1, 1000) + `, "runtimeConfig": {"xdpPortRules": ` + drops(2000, 25) + `}`),
			`runtimeConfig.xdpPortRules: 25 rules for one container are too many beside 1000 of the network (at most 1024 together)`,
		},
		{
			"too many prefixes", network(declareRules + `"runtimeConfig": {"xdpPortRules": [` + dropsTo(1000) + `, ` + good + `, ` + dropsTo(25) + `, ` + dropsTo(1) + `]}`),
			`runtimeConfig.xdpPortRules[2].cidrs: 1025 prefixes for one container are too many (at most 1024 in all its rules): merge some`,
		},
		{
			"name of a network's rule", network(declareRules + `"rules": [` + good + `], "runtimeConfig": {"xdpPortRules": [{"protocol": "udp", "action": "drop", "name": "rule-0"}]}`),
			`runtimeConfig.xdpPortRules[0].name: "rule-0" is already the name of the network's rules[0]: choose another`,
		},
		{
			"name of a network's rule in an annotation", network(declareBoth + `"rules": [` + good + `], ` + annotated(`[{"protocol": "udp", "action": "drop", "name": "rule-0"}]`)),
			`annotation xdp-port/rules: rules[0].name: "rule-0" is already the name of the network's rules[0]: choose another`,
		},
		{
			"name in another source", network(declareRules + `"runtimeConfig": {"xdpPortRules": [{"protocol": "udp", "action": "drop", "name": "a"}]},
				"args": {"cni": {"xdpPortRules": [{"protocol": "udp", "action": "drop", "name": "a"}]}}`),
			`args.cni.xdpPortRules[0].name: "a" is already the name of runtimeConfig.xdpPortRules[0]: choose another`,
		},
		{
			"problems of the network and the container", network(declareBoth + `"rules": [{}], ` + annotated("[5") + `, "args": {"cni": {"xdpPortRules": [1]}}`),
			`rules[0]: protocol is missing: write "tcp" or "udp"; rules[0]: a rule needs toPort, or action "drop" or "pass"; ` +
				`annotation xdp-port/rules: line 1, column 2: unexpected end of JSON input; ` +
				`args.cni.xdpPortRules[0]: 1 is not a rule, an object such as {"protocol": "udp", "port": 53, "toPort": 5353}`,
		},
	})
}

// DEL reads the identity alone.
func TestIdentityDoesNotReadContainerRules(t *testing.T) {
	for _, members := range []string{
		declareBoth + annotated("["),
		declareRules + `"runtimeConfig": {"xdpPortRules": [{}]}, "args": {"cni": {"xdpPortRules": 5}}`,
		`"capabilities": [], "runtimeConfig": 5, "args": 6`,
	} {
		if _, err := ParseIdentity([]byte(network(members))); err != nil {
			t.Errorf("%s: %v", members, err)
		}
	}
}
