package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// lists are texts as installers write them, down to the white space.
var lists = map[string]string{
	"flannel": `{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {
        "hairpinMode": true,
        "isDefaultGateway": true
      }
    },
    {
      "type": "portmap",
      "capabilities": {
        "portMappings": true
      }
    }
  ]
}
`,
	"kindnet, by tabs": "\n{\n\t\"cniVersion\": \"0.3.1\",\n\t\"name\": \"kindnet\",\n\t\"plugins\": [\n\t{\n\t\t\"type\": \"ptp\",\n\t\t\"mtu\": 1500\n\t}\n\t]\n}\n",
	"on one line":      `{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"ptp"},{"type":"portmap"}]}`,
	"with a space":     "  {\"cniVersion\": \"1.0.0\", \"name\": \"x\", \"plugins\": [ {\"type\": \"ptp\"}, {\"type\": \"portmap\"} ], \"after\": [\"]}\"] }  \n\n",
	"in DOS's way":     "{\r\n  \"cniVersion\": \"1.0.0\",\r\n  \"name\": \"x\",\r\n  \"plugins\": [\r\n    { \"type\": \"ptp\" }\r\n  ]\r\n}\r\n",
	"odd": `{ "plugins" :
  [{"type":"ptp","x":"\"}],"},
   {"type" : "tuning"
   }], "disableCheck"
  : true, "cniVersion": "1.0.0", "name": "x", "π": 1e400 }`,
}

const newEntry = `{
  "rules": [
    { "protocol": "udp", "port": 7999, "toPort": 7998 }
  ]
}
`

// TestEditChangesNothingElse wants the text of a list back to the byte, and
// every other plugin untouched, whatever the list looks like.
func TestEditChangesNothingElse(t *testing.T) {
	samples, err := filepath.Glob("../../conf/*.conflist")
	if err != nil || len(samples) == 0 {
		t.Fatal(samples, err)
	}
	for _, sample := range samples {
		text, err := os.ReadFile(sample)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := WithoutEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		lists[filepath.Base(sample)] = string(bare)
	}
	for name, list := range lists {
		t.Run(name, func(t *testing.T) {
			with, err := WithEntry([]byte(list), []byte(newEntry))
			if err != nil {
				t.Fatal(err)
			}
			wantLast(t, list, string(with), newEntry)
			again, err := WithEntry(with, []byte(newEntry))
			if err != nil || string(again) != string(with) {
				t.Errorf("written twice: %v\n%s", err, again)
			}
			other, err := WithEntry(with, []byte(`{"rules": []}`))
			if err != nil {
				t.Fatal(err)
			}
			same, err := WithSameEntry([]byte(list), other)
			if err != nil || string(same) != string(other) {
				t.Errorf("of an entry that was exchanged: %v\n%s\nwant\n%s", err, same, other)
			}
			without, err := WithoutEntry(other)
			if err != nil || string(without) != list {
				t.Errorf("taken out again: %v\n%q\nwant\n%q", err, without, list)
			}
		})
	}
}

// wantLast wants the list to have one plugin more than it had, this one.
func wantLast(t *testing.T, before, after, entry string) {
	t.Helper()
	var old, fresh struct{ Plugins []map[string]any }
	var want map[string]any
	for text, into := range map[string]any{before: &old, after: &fresh, entry: &want} {
		if err := json.Unmarshal([]byte(strings.Replace(text, "1e400", "1", 1)), into); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	want["type"] = PluginType
	if !reflect.DeepEqual(fresh.Plugins, append(old.Plugins, want)) {
		t.Errorf("the plugins are %v", fresh.Plugins)
	}
	if strings.Contains(before, "\n") != strings.Contains(after, "\n") {
		t.Errorf("the lines are not those of the list:\n%s", after)
	}
}

// TestEntryLooksAsWritten wants an entry to keep the shape that its author gave
// it.
func TestEntryLooksAsWritten(t *testing.T) {
	got, err := WithEntry([]byte(lists["flannel"]), []byte(newEntry))
	want := `      }
    },
    {
      "type": "xdp-port",
      "rules": [
        { "protocol": "udp", "port": 7999, "toPort": 7998 }
      ]
    }
  ]
}
`
	if err != nil || !strings.HasSuffix(string(got), want) {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestEditRefuses(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"name": "x"}`, `{"plugins": []}`, `{"plugins": "x"}`, `{"type": "ptp", "name": "x"}`} {
		var mistakes *Error
		if _, err := WithEntry([]byte(text), []byte(newEntry)); !errors.As(err, &mistakes) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if text, err := WithSameEntry([]byte(lists["odd"]), []byte(lists["flannel"])); text != nil || err != nil {
		t.Errorf("of a list without: %s, %v", text, err)
	}
}

func TestParseEntry(t *testing.T) {
	network, err := ParseEntry([]byte(newEntry))
	if err != nil || len(network.Rules) != 1 || network.Flows != DefaultFlows {
		t.Fatalf("%+v, %v", network, err)
	}
	for _, test := range []struct {
		text string
		want []string
	}{
		{`{"rules": [], "tchook": "tcx"}`, []string{"1:25 tchook: unknown key; did you mean \"tcHook\"?"}},
		{`{"rulez": []}`, []string{`1:11 rulez: unknown key; did you mean "rules"?`}},
		{`{"rules": [], "rules": []}`, []string{"1:24 rules: given twice"}},
		{`{"type": "xdp", "rules": []}`, []string{`1:10 type: "xdp" is not "xdp-port"`}},
		{`{"mode": "tc"}`, []string{"1:1 configuration: rules is missing: write []"}},
		{"{\"rules\": [\n {\"protocol\": \"udp\", \"port\": 70000, \"action\": \"drop\"}]}", []string{"2:30 rules[0].port: 70000 is not a port"}},
		{`[]`, []string{"1:1 configuration: [] is not an object"}},
		{`{"rules": [], "prevResult": {}}`, []string{"1:29 prevResult: the runtime fills it in for each container: leave the key out"}},
		{`{"prevResult": 5, "rules": []}`, []string{"1:16 prevResult: the runtime fills it in"}},
		{"\ufeff{}", []string{"1:1 line 1, column 1: starts with a byte order mark (U+FEFF); save it without"}},
		{`{"type": "", "rules": []}`, []string{`1:10 type: "" is not "xdp-port": leave the key out`}},
	} {
		_, err := ParseEntry([]byte(test.text))
		var mistakes *Error
		if !errors.As(err, &mistakes) || len(mistakes.Mistakes) != len(test.want) {
			t.Errorf("%s: got %v, want %v", test.text, err, test.want)
			continue
		}
		for i, m := range mistakes.Mistakes {
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
		got  []Mistake
		want string
	}{
		{entry.Overwritten, "[line 1, column 33: name: has no effect: the name of the conflist takes its place; leave the key out " +
			"line 1, column 16: cniVersion: has no effect: the cniVersion of the conflist takes its place; leave the key out]"},
		{list.Entries[0].Overwritten, "[line 1, column 121: plugins[1].name: has no effect: the name of the conflist takes its place; leave the key out " +
			"line 1, column 104: plugins[1].cniVersion: has no effect: the cniVersion of the conflist takes its place; leave the key out]"},
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
