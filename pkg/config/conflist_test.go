package config

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

func TestParseListTellsLines(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // position and problem
	}{
		{
			"a problem in a rule", "\n{\"cniVersion\": \"1.0.0\", \"name\": \"lab\",\n \"plugins\": [{\"type\": \"bridge\"},\n  {\"type\": \"xdp-port\", \"rules\": [\n    {\"protocol\": \"udp\", \"port\": 0, \"action\": \"drop\"}]}]}",
			[]string{"5:33 plugins[1].rules[0].port: 0 is not a port (1-65535)"},
		},
		{
			"wide characters before", `{"name": "lab", "cniVersion": "1.0.0", "ä": "ö", "plugins": [{"type": "ptp"}, {"type": "xdp-port", "mode": "fast", "rules": []}]}`,
			[]string{`1:108 plugins[1].mode: "fast" is not a mode`},
		},
		{
			"what the list lacks, once", `{"plugins": [{"type": "ptp"}, {"type": "xdp-port", "rules": []}, {"type": "xdp-port", "rules": []}]}`,
			[]string{"1:1 configuration: cniVersion is missing", "1:1 configuration: name is missing"},
		},
		{
			"not chained", `{"name": "lab", "cniVersion": "1.0.0", "plugins": [{"type": "xdp-port", "rules": []}]}`,
			[]string{"1:52 plugins[0]: xdp-port is a chained plugin"},
		},
		{
			"another's network", `{"name": "lab", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"}]}`,
			[]string{`1:51 plugins: has no plugin of type "xdp-port"`},
		},
		{"no plugins", `{"name": "lab", "cniVersion": "1.0.0"}`, []string{"1:1 configuration: plugins is missing"}},
		{
			"no plugin", `{"name": "lab", "cniVersion": "1.0.0", "plugins": ["xdp-port"]}`,
			[]string{`1:52 plugins[0]: "xdp-port" is not a plugin`},
		},
		{
			"an empty type", `{"name": "lab", "cniVersion": "1.0.0", "plugins": [{"type": ""}, {"type": "xdp-port", "rules": []}]}`,
			[]string{`1:61 plugins[0].type: is empty: write the name of the plugin's program`},
		},
		{
			"a result in it", `{"name": "lab", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"}, {"type": "xdp-port", "rules": [], "prevResult": 5}]}`,
			[]string{`1:117 plugins[1].prevResult: the runtime fills it in for each container: leave the key out`},
		},
		{
			"a version that nobody speaks", `{"name": "lab", "cniVersion": "0.2.0", "plugins": [{"type": "ptp"}, {"type": "xdp-port", "rules": []}]}`,
			[]string{`1:31 cniVersion: xdp-port does not support version "0.2.0" of CNI: write one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0`},
		},
		{
			"versions that nobody speaks", `{"name": "lab", "cniVersions": ["0.2.0", "9.9"], "plugins": [{"type": "ptp"}, {"type": "xdp-port", "rules": []}]}`,
			[]string{"1:32 cniVersions: xdp-port does not support version"},
		},
		{"no object", " \n [1]", []string{"2:2 configuration: [1] is not an object"}},
		{"syntax", "{\n \"name\": }", []string{"2:10 line 2, column 10: invalid character"}},
		{
			"alone", `{"name": "lab", "cniVersion": "1.0.0", "type": "xdp-port", "flows": 1, "rules": []}`,
			[]string{"1:69 flows: 1 is not a number of flows"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseList([]byte(test.text))
			var invalid *Error
			if !errors.As(err, &invalid) || len(invalid.Problems) != len(test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			for i, m := range invalid.Problems {
				if got := strings.NewReplacer("line ", "", ", column ", ":").Replace(m.At.String()) + " " + m.String(); !strings.HasPrefix(got, test.want[i]) {
					t.Errorf("got %s, want %s", got, test.want[i])
				}
			}
		})
	}
}

func TestParseListReadsAsARuntimeWould(t *testing.T) {
	list, err := ParseList([]byte(`{"name": "lab", "cniVersions": ["0.4.0", "1.1.0"], "plugins": [
  {"type": "bridge"},
  {"type": "xdp-port", "name": "not this one", "rules": [{"protocol": "udp", "port": 5, "toPort": 6}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	entry := list.Entries[0]
	if list.Name != "lab" || len(list.Entries) != 1 || entry.Name != "lab" || entry.CNIVersion != "1.1.0" || entry.Index != 1 ||
		len(entry.Rules) != 1 || entry.RuleAt[0] != (jsondoc.Position{Line: 3, Column: 58}) || entry.At != (jsondoc.Position{Line: 3, Column: 3}) {
		t.Errorf("%+v %+v", list, entry)
	}
}

// TestForContainer appends a container's own rules to the rules of a list, as ADD does.
func TestForContainer(t *testing.T) {
	read := func(capabilities string) Entry {
		list, err := ParseList([]byte(`{"name": "lab", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"},
  {"type": "xdp-port", "capabilities": {` + capabilities + `}, "rules": [{"protocol": "udp", "port": 5, "action": "drop"}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		return list.Entries[0]
	}
	own := json.RawMessage(`[{"protocol": "udp", "port": 7, "toPort": 8, "name": "own"}]`)
	for _, capabilities := range []string{`"xdpPortRules": true`, `"io.kubernetes.cri.pod-annotations": true`} {
		entry := read(capabilities)
		network, err := entry.ForContainer(own)
		if err != nil || len(network.Rules) != 2 || network.Rules[1].Name != "own" || len(network.ContainerRules) == 0 {
			t.Errorf("%s: %+v, %v", capabilities, network, err)
		}
		if _, err := entry.ForContainer(json.RawMessage(`[{"protocol": "udp", "port": 7, "toPort": 5}]`)); err == nil {
			t.Errorf("%s: a rule that bypasses the network's is accepted", capabilities)
		}
	}
	silent := read("")
	if network, err := silent.ForContainer(own); err != nil || len(network.Rules) != 1 {
		t.Errorf("own rules are accepted without a capability: %+v, %v", network, err)
	}
}
