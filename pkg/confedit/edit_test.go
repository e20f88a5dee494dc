package confedit

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// lists are texts as installers write them, with their white space.
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

// TestEditChangesNothingElse adds an entry to lists in various styles, and removes it. The
// other plugins must stay, and in the end each byte.
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
				t.Errorf("with the same entry: %v\n%s\nwant\n%s", err, same, other)
			}
			without, err := WithoutEntry(other)
			if err != nil || string(without) != list {
				t.Errorf("removed: %v\n%q\nwant\n%q", err, without, list)
			}
		})
	}
}

// wantLast requires the list to have one more plugin, the given one.
func wantLast(t *testing.T, before, after, entry string) {
	t.Helper()
	var old, fresh struct{ Plugins []map[string]any }
	var want map[string]any
	for text, into := range map[string]any{before: &old, after: &fresh, entry: &want} {
		if err := json.Unmarshal([]byte(strings.Replace(text, "1e400", "1", 1)), into); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	want["type"] = config.PluginType
	if !reflect.DeepEqual(fresh.Plugins, append(old.Plugins, want)) {
		t.Errorf("the plugins are %v", fresh.Plugins)
	}
	if strings.Contains(before, "\n") != strings.Contains(after, "\n") {
		t.Errorf("the lines are not those of the list:\n%s", after)
	}
}

// TestEntryLooksAsWritten requires an entry to keep the style of its author.
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
		var malformed *jsondoc.Error
		if _, err := WithEntry([]byte(text), []byte(newEntry)); !errors.As(err, &malformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if text, err := WithSameEntry([]byte(lists["odd"]), []byte(lists["flannel"])); text != nil || err != nil {
		t.Errorf("from a list without an entry: %s, %v", text, err)
	}
}
