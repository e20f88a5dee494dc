package portctl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestAllRefuseTheSame expects the plugin, validate and install to judge entries alike. The agent
// installs as install does.
func TestAllRefuseTheSame(t *testing.T) {
	o := newTarget(t)
	o.configure("")
	for entry, says := range map[string]string{
		`{ "rules": [] }`: "",
		`{ "rules": [], "_comment": "x", "example.com/x": 1, "ipam": {}, "name": "other" }`: "",
		`{ "rule": [` + to7998 + `] }`:                                     `unknown key; did you mean "rules"?`,
		`{ "Rules": [` + to7998 + `] }`:                                    `unknown key; did you mean "rules"?`,
		`{ "rules": [], "mods": "tc" }`:                                    `unknown key; did you mean "mode"?`,
		`{ "rules": [], "tchook": "clsact" }`:                              `unknown key; did you mean "tcHook"?`,
		`{ "rules": [], "containerRules": 1 }`:                             `unknown key`,
		`{ "mode": "tc" }`:                                                 `rules is missing`,
		`{ "rules": null }`:                                                `null is not a list`,
		`{ "rules": [{ "protocol": "udp", "port": 80.5, "toPort": 81 }] }`: `80.5 is not a port`,
		tooMuch(): `prefixes`,
	} {
		t.Logf("%.100s", entry)
		before := o.writeNetwork()
		must(t, os.WriteFile(o.config, []byte(entry), 0o600))
		installed := portctl(t, o.Node, o.args("install", "--config", o.config)...)
		path := filepath.Join(t.TempDir(), "net.conflist")
		must(t, os.WriteFile(path, []byte(`{ "cniVersion": "1.1.0", "name": "lab", "plugins": [{ "type": "ptp" }, `+chained(entry, "")+`] }`), 0o600))
		validated := portctl(t, o.Node, "validate", path)
		status, err := o.Call(node.Call{Operation: "STATUS", Stdin: []byte(chained(entry, `"cniVersion": "1.1.0", "name": "lab", `))})
		must(t, err)
		if says == "" {
			installed.want(t, 0)
			validated.want(t, 0)
			if status.Refusal != nil {
				t.Errorf("STATUS: %v", status.Refusal)
			}
			continue
		}
		installed.want(t, 1)
		validated.want(t, 1)
		if status.Refusal == nil || status.Refusal.Code != 7 || !strings.Contains(status.Refusal.Msg, says) {
			t.Errorf("STATUS lacks %q: %v", says, status.Refusal)
		}
		if !strings.Contains(installed.stderr, says) || !strings.Contains(validated.stdout, says) {
			t.Errorf("%q is not in both\n%.500s\nand\n%.500s", says, installed.stderr, validated.stdout)
		}
		if o.read(o.conflist) != before {
			t.Error("install changed the conflist")
		}
	}
}

// chained is an entry in a list, or with a head as the plugin receives it.
func chained(entry, head string) string {
	if strings.Contains(entry, `"name": "other"`) {
		head = strings.Replace(head, `"name": "lab", `, "", 1) // libcni uses the list's
	}
	return strings.Replace(entry, "{ ", `{ "type": "xdp-port", `+head, 1)
}

// tooMuch is an entry that no table of the kernel can hold: a long list of addresses for each of
// many ports.
func tooMuch() string {
	var rules, cidrs []string
	for i := range 2000 {
		cidrs = append(cidrs, fmt.Sprintf(`"10.%d.%d.0/24"`, i/256, i%256))
	}
	for i := range 600 {
		rules = append(rules, fmt.Sprintf(`{ "protocol": "tcp", "port": %d, "action": "drop", "cidrs": ["192.0.2.1/32"] }`, 1000+2*i))
	}
	rules = append(rules, `{ "protocol": "tcp", "action": "pass", "cidrs": [`+strings.Join(cidrs, ", ")+`] }`)
	return `{ "rules": [` + strings.Join(rules, ", ") + `] }`
}

// TestValidateKnowsTheChain uses plugins that make each ADD fail next to xdp-port. Install must
// refuse them, too.
func TestValidateKnowsTheChain(t *testing.T) {
	const shaped = `{ "type": "bandwidth", "capabilities": { "bandwidth": true } }`
	for name, tt := range map[string]struct{ plugins, hook, says string }{
		"clsact behind bandwidth": {
			`{ "type": "ptp" }, ` + shaped, "clsact",
			`plugins[2].tcHook: "clsact" cannot be combined with the ingress qdisc of the bandwidth plugin, plugins[1]: write "auto" or "tcx"`,
		},
		"tcx behind bandwidth": {`{ "type": "ptp" }, ` + shaped, "tcx", ""},
		"clsact behind bandwidth for ingress": {
			`{ "type": "ptp" }, { "type": "bandwidth", "ingressRate": 1000000, "ingressBurst": 1000000 }`, "clsact", "",
		},
		"macvlan":  {`{ "type": "macvlan" }`, "auto", `"macvlan" makes no veth: xdp-port needs the host side of a veth`},
		"loopback": {`{ "type": "loopback" }`, "auto", `"loopback" makes no veth`},
	} {
		t.Run(name, func(t *testing.T) {
			o := newTarget(t)
			list := fmt.Sprintf(`{ "cniVersion": "1.1.0", "name": "lab", "plugins": [%s] }`, tt.plugins)
			must(t, os.WriteFile(o.conflist, []byte(list), 0o600))
			must(t, os.WriteFile(o.config, fmt.Appendf(nil, `{ "tcHook": %q, "rules": [%s] }`, tt.hook, to7998), 0o600))
			path := filepath.Join(t.TempDir(), "net.conflist")
			entry := fmt.Sprintf(`, { "type": "xdp-port", "tcHook": %q, "rules": [%s] }] }`, tt.hook, to7998)
			must(t, os.WriteFile(path, []byte(strings.TrimSuffix(list, "] }")+entry), 0o600))
			validated := portctl(t, o.Node, "validate", path)
			installed := portctl(t, o.Node, o.args("install", "--config", o.config)...)
			if tt.says == "" {
				validated.want(t, 0)
				installed.want(t, 0)
				return
			}
			validated.want(t, 1)
			installed.want(t, 1)
			if !strings.Contains(validated.stdout, tt.says) || !strings.Contains(installed.stderr, tt.says) {
				t.Errorf("%q is not in both\n%s\nand\n%s", tt.says, validated.stdout, installed.stderr)
			}
		})
	}
}

// TestValidateIsBounded has more errors than a person reads.
func TestValidateIsBounded(t *testing.T) {
	n := node.ForTest(t)
	rules := make([]object, 500)
	for i := range rules {
		rules[i] = object{"\u202e\u009b": strings.Repeat("\x7f", 1000)}
	}
	out := portctl(t, n, "validate", write(t, conflist("lab", rules...)))
	text := out.want(t, 1)
	if lines := strings.Count(text, "\n"); lines != 21 || !strings.HasSuffix(text, ": and 1480 more\n") || len(text) > 8<<10 {
		t.Errorf("%d lines, %d bytes: %.3000s", lines, len(text), text)
	}
	if strings.ContainsAny(text, "\u202e\u009b\x7f") {
		t.Errorf("it drives the terminal: %.500q", text)
	}
}
