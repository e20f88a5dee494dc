package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseEntry(t *testing.T) {
	network, err := ParseEntry([]byte(`{"rules": [{ "protocol": "udp", "port": 7999, "toPort": 7998 }]}`))
	if err != nil || len(network.Rules) != 1 || network.Flows != DefaultFlows {
		t.Fatalf("%+v, %v", network, err)
	}
	for _, test := range []struct {
		text string
		want []string
	}{
		{`{"rules": [], "tchook": "tcx"}`, []string{"1:25 tchook: unknown key; did you mean \"tcHook\"?"}},
		{`{"rulez": []}`, []string{`1:11 rulez: unknown key; did you mean "rules"?`}},
		{`{"rules": [], "rules": []}`, []string{"1:24 rules: is given twice"}},
		{`{"type": "xdp", "rules": []}`, []string{`1:10 type: "xdp" is not "xdp-port"`}},
		{`{"mode": "tc"}`, []string{"1:1 configuration: rules is missing: write []"}},
		{"{\"rules\": [\n {\"protocol\": \"udp\", \"port\": 70000, \"action\": \"drop\"}]}", []string{"2:30 rules[0].port: 70000 is not a port"}},
		{`[]`, []string{"1:1 configuration: [] is not an object"}},
		{`{"rules": [], "prevResult": {}}`, []string{"1:29 prevResult: the runtime fills it in for each container: leave the key out"}},
		{`{"prevResult": 5, "rules": []}`, []string{"1:16 prevResult: the runtime fills it in"}},
		{"\ufeff{}", []string{"1:1 line 1, column 1: starts with a byte order mark (U+FEFF): save it without"}},
		{`{"type": "", "rules": []}`, []string{`1:10 type: "" is not "xdp-port": leave the key out`}},
	} {
		_, err := ParseEntry([]byte(test.text))
		var invalid *Error
		if !errors.As(err, &invalid) || len(invalid.Problems) != len(test.want) {
			t.Errorf("%s: got %v, want %v", test.text, err, test.want)
			continue
		}
		for i, m := range invalid.Problems {
			got := strings.NewReplacer("line ", "", ", column ", ":").Replace(m.At.String()) + " " + m.String()
			if !strings.HasPrefix(got, test.want[i]) {
				t.Errorf("%s: got %s, want %s", test.text, got, test.want[i])
			}
		}
	}
}

// TestOverwritten has keys that libcni puts the list's in the place of.
func TestOverwritten(t *testing.T) {
	const keys = `"cniVersion": "0.4.0", "name": "other", "rules": []}`
	entry, err := ParseEntry([]byte("{" + keys))
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParseList([]byte(`{"cniVersion": "1.0.0", "name": "lab", "plugins": [{"type": "ptp"}, {"type": "xdp-port", ` + keys + "]}"))
	if err != nil {
		t.Fatal(err)
	}
	alone, err := ParseList([]byte(`{"type": "xdp-port", ` + keys))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		got  []Problem
		want string
	}{
		{entry.Overwritten, "[line 1, column 33: name: has no effect, because the conflist's name replaces it: leave the key out " +
			"line 1, column 16: cniVersion: has no effect, because the conflist's cniVersion replaces it: leave the key out]"},
		{list.Entries[0].Overwritten, "[line 1, column 121: plugins[1].name: has no effect, because the conflist's name replaces it: leave the key out " +
			"line 1, column 104: plugins[1].cniVersion: has no effect, because the conflist's cniVersion replaces it: leave the key out]"},
		{alone.Entries[0].Overwritten, "[]"},
	} {
		lines := []string{}
		for _, m := range test.got {
			lines = append(lines, m.At.String()+": "+m.String())
		}
		if got := fmt.Sprint(lines); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
