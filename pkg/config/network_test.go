package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// network returns a valid configuration with the given members, and without rules if these
// are not among them.
func network(members string) string {
	if !strings.Contains(members, `"rules":`) {
		members = `"rules": [], ` + members
	}
	return `{"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", ` + members + `}`
}

// parse requires the configuration to be valid.
func parse(t *testing.T, stdin string) *Network {
	t.Helper()
	n, err := Parse([]byte(stdin))
	if err != nil {
		t.Fatalf("Parse(%s): %v", stdin, err)
	}
	return n
}

// refused is a configuration and its error message.
type refused struct{ name, stdin, want string }

func checkRefusals(t *testing.T, tests []refused) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := Parse([]byte(tt.stdin))
			if err == nil {
				t.Fatalf("Parse(%s) = %+v, want the error %s", tt.stdin, n, tt.want)
			}
			if err.Error() != tt.want {
				t.Errorf("Parse(%s)\n got %s\nwant %s", tt.stdin, err, tt.want)
			}
		})
	}
}

// example is a configuration with rules of all kinds, and the prevResult of a bridge.
const example = `{
  "cniVersion": "1.1.0",
  "name": "lab",
  "type": "xdp-port",
  "mode": "auto",
  "rules": [
    { "protocol": "udp", "port": 7999, "toPort": 7998 },
    { "protocol": "tcp", "port": "8000-8099", "toPort": "9000-9099" },
    { "protocol": "udp", "port": 53, "toPort": 5353, "cidrs": ["169.254.20.10/32", "fd00::a/128"] },
    { "protocol": "tcp", "port": 25, "action": "drop", "name": "no-smtp" },
    { "direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080 }
  ],
  "prevResult": {
    "cniVersion": "1.1.0",
    "interfaces": [ { "name": "eth0", "sandbox": "/run/netns/a" } ],
    "ips": [ { "address": "10.88.0.2/16", "interface": 0 } ]
  }
}`

func TestParseExample(t *testing.T) {
	got := parse(t, example)
	if !strings.Contains(example, string(got.PrevResult)) {
		t.Errorf("PrevResult is %s", got.PrevResult)
	}
	if got.Table == nil {
		t.Error("the rules are not compiled")
	}
	got.PrevResult, got.Table = nil, nil
	want := &Network{
		CNIVersion: "1.1.0", Name: "lab", Type: "xdp-port", Mode: ModeAuto, TCHook: HookAuto, Flows: 65536,
		Rules: []rules.Rule{
			{Name: "rule-0", Protocol: rules.UDP, Ports: ports(7999, 7999), To: ports(7998, 7998)},
			{Name: "rule-1", Protocol: rules.TCP, Ports: ports(8000, 8099), To: ports(9000, 9099)},
			{
				Name: "rule-2", Protocol: rules.UDP, Ports: ports(53, 53), To: ports(5353, 5353),
				Peers: []netip.Prefix{netip.MustParsePrefix("169.254.20.10/32"), netip.MustParsePrefix("fd00::a/128")},
			},
			{Name: "no-smtp", Protocol: rules.TCP, Ports: ports(25, 25), Action: rules.Drop},
			{Name: "rule-4", Direction: rules.Ingress, Protocol: rules.TCP, Ports: ports(80, 80), To: ports(8080, 8080)},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseSettings(t *testing.T) {
	got := parse(t, network(`"mode": "generic", "tcHook": "clsact", "flows": 1024, "log": "/a b"`))
	got.Table = nil
	want := &Network{CNIVersion: "1.1.0", Name: "lab", Type: "xdp-port", Mode: ModeGeneric, TCHook: HookClsact, Flows: 1024, Log: "/a b"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseAccepts(t *testing.T) {
	for _, members := range []string{
		`"mode": "native", "tcHook": "tcx", "flows": 1048576`,
		`"mode": "offload", "tcHook": "auto"`,
		`"rules": []`,
		`"prevResult": null`,
		`"ipam": 5, "dns": [], "ipMasq": "x", "capabilities": {"xdpPortRules": true}`,
		`"cni.dev/colour": {"a": null}, "example.com/b": 1, "a/b": 1, "a.b": 1, "_": 1, "_comment": "x", "_comment": "y"`,
		`"deviceID": "0000:3b:02.5", "pciBusID": "0000:3b:02.5"`, // Multus, in each plugin of a network with a device
		`"$schema": "https://example.com/xdp-port.schema.json"`,
		`"flows": 2048.0`,
		`"runtimeConfig": {"portMappings": []}, "args": {"cni": {"labels": []}}`,
		`"capabilities": null, "runtimeConfig": null, "args": null`,
	} {
		t.Run(members, func(t *testing.T) { parse(t, network(members)) })
	}
}

func TestParseProblems(t *testing.T) {
	checkRefusals(t, []refused{
		{"no object", `[1, 2]`, `configuration: [1,2] is not an object: write the keys and values in { }`},
		{
			"nothing", `{}`, `configuration: cniVersion is missing: write "1.1.0"; configuration: name is missing: give the network a name; ` +
				`configuration: rules is missing: write [] to attach nothing`,
		},
		{"empty version", `{"cniVersion": "", "name": "lab", "rules": []}`, `cniVersion: is empty`},
		{"version no string", `{"cniVersion": 1.1, "name": "lab", "rules": []}`, `cniVersion: 1.1 is not a string`},
		{"name no string", `{"cniVersion": "1.1.0", "name": ["lab"], "rules": []}`, `name: ["lab"] is not a string`},
		{"name null", `{"cniVersion": "1.1.0", "name": null, "rules": []}`, `name: null is no value: give the network a name`},
		{
			"name a path", `{"cniVersion": "1.1.0", "name": "../lab", "rules": []}`,
			`name: "../lab" is not a network name (letters, digits, _ . and -, beginning with a letter or digit)`,
		},
		{"name twice", `{"cniVersion": "1.1.0", "name": "a", "name": "b", "rules": []}`, `name: is given twice: keep one`},
		{"type no string", `{"cniVersion": "1.1.0", "name": "lab", "type": {}, "rules": []}`, `type: {} is not a string`},

		{"mode unknown", network(`"mode": "fast"`), `mode: "fast" is not a mode (auto, native, generic, offload or tc)`},
		{"mode misspelt", network(`"mode": "Generic"`), `mode: "Generic" is not a mode (auto, native, generic, offload or tc): did you mean "generic"?`},
		{"mode no string", network(`"mode": 1`), `mode: 1 is not a mode (auto, native, generic, offload or tc)`},
		{"mode null", network(`"mode": null`), `mode: null is no value: leave the key out`},
		{"tcHook unknown", network(`"tcHook": "xdp"`), `tcHook: "xdp" is not a tc hook (auto, tcx or clsact)`},
		{"tcHook no string", network(`"tcHook": true`), `tcHook: true is not a tc hook (auto, tcx or clsact)`},
		{"flows too few", network(`"flows": 1023`), `flows: 1023 is not a number of flows (a whole number, 1024 to 1048576)`},
		{"flows too many", network(`"flows": 1048577`), `flows: 1048577 is not a number of flows (a whole number, 1024 to 1048576)`},
		{"flows fraction", network(`"flows": 2000.5`), `flows: 2000.5 is not a number of flows (a whole number, 1024 to 1048576)`},
		{"flows huge", network(`"flows": 99999999999999999999`), `flows: 99999999999999999999 is not a number of flows (a whole number, 1024 to 1048576)`},
		{"flows quoted", network(`"flows": "65536"`), `flows: "65536" is a string: write 65536 without quotes`},
		{"flows a list", network(`"flows": [1024]`), `flows: [1024] is not a number of flows (a whole number, 1024 to 1048576)`},

		{"log nowhere", network(`"log": "xdp-port.log"`), `log: "xdp-port.log" is neither "journald" nor the path of a file such as "/var/log/xdp-port.log"`},
		{"log a folder", network(`"log": "/var/log/"`), `log: "/var/log/" is neither "journald" nor the path of a file such as "/var/log/xdp-port.log"`},
		{"log of two lines", network(`"log": "/a\nb"`), `log: "/a\nb" is neither "journald" nor the path of a file such as "/var/log/xdp-port.log"`},
		{"log no string", network(`"log": true`), `log: true is not a string`},

		{"rules no list", network(`"rules": 5`), `rules: 5 is not a list of rules`},
		{"rules null", network(`"rules": null`), `rules: null is not a list of rules: write [] to attach nothing`},
		{"rules twice", network(`"rules": [], "rules": []`), `rules: is given twice: keep one`},
		{
			"too many rules", network(`"rules": [` + strings.Repeat(`{"protocol": "tcp", "action": "drop"}, `, 1024) + `5]`),
			`rules: 1025 rules are too many (at most 1024)`,
		},
	})
}

// TestParseRefusesUnknownKeys has typos that would switch rules off.
func TestParseRefusesUnknownKeys(t *testing.T) {
	const drop = `[{"protocol": "tcp", "port": 25, "action": "drop"}]`
	const others = ` (xdp-port has rules, mode, tcHook, flows, log and capabilities)`
	checkRefusals(t, []refused{
		{"no rules", unruled(`"mode": "tc", "_rules":` + drop), `configuration: rules is missing: write [] to attach nothing`},
		{"singular", unruled(`"rule": ` + drop), `rule: unknown key; did you mean "rules"?`},
		{"upper case", unruled(`"Rules": ` + drop), `Rules: unknown key; did you mean "rules"?`},
		{"beside the right one", network(`"Rules": ` + drop), `Rules: unknown key; did you mean "rules"?`},
		{"twice", network(`"rulez": 1, "rulez": 2`), `rulez: unknown key; did you mean "rules"?; rulez: unknown key; did you mean "rules"?`},
		{"mods", network(`"mods": "tc"`), `mods: unknown key; did you mean "mode"?`},
		{"tchook", network(`"tchook": "clsact"`), `tchook: unknown key; did you mean "tcHook"?`},
		{"capability", network(`"Capabilities": {}`), `Capabilities: unknown key; did you mean "capabilities"?`},
		{"flow", network(`"flow": 1024`), `flow: unknown key; did you mean "flows"?`},
		{"logfile", network(`"logfile": "/l"`), `logfile: unknown key` + others},
		{"another's", network(`"colour": {"a": null}`), `colour: unknown key` + others},
		{"empty", network(`"": 1`), `[""]: unknown key` + others},
		{"of later versions", network(`"containerRules": {}`), `containerRules: unknown key` + others},
	})
}

// unruled is network without rules.
func unruled(members string) string {
	return `{"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", ` + members + `}`
}

func TestParseReportsAllProblemsInOrder(t *testing.T) {
	checkRefusals(t, []refused{{
		"all", network(`
		"flows": 7,
		"capabilities": {"xdpPortRules": true},
		"runtimeConfig": {"xdpPortRules": [{"protocol": "tcp", "action": "drop", "port": 0}]},
		"rules": [
			{"protocol": "tcp", "port": 80, "toPort": 70000},
			{"prot": "tcp", "port": 80, "toPort": 81, "name": "rule-3"},
			{"cidrs": ["10.0.0.1", "10.0.0.0/8", "10.0.0.0/8"], "toPort": "1-3", "oneWay": 1, "port": "1-2", "direction": "up"},
			{"protocol": "udp", "action": "drop", "toPort": 1}
		],
		"mode": "xdp"`),
		strings.Join([]string{
			`flows: 7 is not a number of flows (a whole number, 1024 to 1048576)`,
			`runtimeConfig.xdpPortRules[0].port: 0 is not a port (1-65535)`,
			`rules[0].toPort: 70000 is not a port (1-65535)`,
			`rules[1].prot: unknown key; did you mean "protocol"?`,
			`rules[1].name: "rule-3" is already the name of rules[3]: choose another`,
			`rules[2]: protocol is missing: write "tcp" or "udp"`,
			`rules[2].cidrs[0]: "10.0.0.1" has no prefix length: write "10.0.0.1/32"`,
			`rules[2].cidrs[2]: "10.0.0.0/8" is a duplicate of rules[2].cidrs[1]: leave it out`,
			`rules[2].toPort: has 3 ports, but port has 2: give both the same length, or toPort a single port`,
			`rules[2].oneWay: 1 is neither true nor false`,
			`rules[2].direction: "up" is not a direction (egress or ingress)`,
			`rules[3].toPort: cannot be combined with action "drop": leave one of them out`,
			`mode: "xdp" is not a mode (auto, native, generic, offload or tc)`,
		}, "; "),
	}})
}
