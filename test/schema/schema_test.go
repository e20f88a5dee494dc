// Package schema compares the JSON Schema of the configuration with the plugin's parser:
// both must accept and refuse the same.
//
// It is a module of its own, so that the product does not depend on the library.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/xdp-port/xdp-port/pkg/config"
)

const (
	conf       = "../../conf"
	schemaFile = conf + "/xdp-port.schema.json"
)

// example is a conflist, an entry of xdp-port, rules for one container, or the last two
// together.
type example struct {
	Case                   string
	List, Entry, Container json.RawMessage
	// Says is the error of the parser if the schema accepts the example.
	Says string
}

func examples(t *testing.T, file string) (list []example) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	must(t, err)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	must(t, decoder.Decode(&list))
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// parse passes the example to the parser as a runtime would, inside a network, or as
// validate does.
func (e *example) parse() error {
	if e.List != nil {
		_, err := config.ParseList(e.List)
		return err
	}
	entry := e.Entry
	if entry == nil {
		entry = json.RawMessage(`{"rules": []}`)
	}
	head := map[string]string{"cniVersion": `"1.1.0"`, "name": `"lab"`}
	if e.Container != nil {
		head["capabilities"] = `{"xdpPortRules": true}`
		head["runtimeConfig"] = fmt.Sprintf(`{"xdpPortRules": %s}`, e.Container)
	}
	var there map[string]json.RawMessage
	if err := json.Unmarshal(entry, &there); err != nil {
		return err
	}
	var members []string
	for key, value := range head {
		if there[key] == nil {
			members = append(members, fmt.Sprintf("%q: %s", key, value))
		}
	}
	// The text stays unchanged: a map would drop a duplicate key.
	inside := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(entry)), "{"), "}")
	if strings.TrimSpace(inside) != "" {
		members = append(members, inside)
	}
	_, err := config.Parse([]byte("{" + strings.Join(members, ", ") + "}"))
	return err
}

// schemas are the schema of an entry or a conflist, and that of rules for a container.
type schemas struct{ file, container *jsonschema.Schema }

func compile(t *testing.T) schemas {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	file, err := compiler.Compile(schemaFile)
	must(t, err)
	container, err := compiler.Compile(schemaFile + "#/$defs/containerRules")
	must(t, err)
	return schemas{file, container}
}

func (s schemas) validate(e *example) error {
	for _, file := range []json.RawMessage{e.List, e.Entry} {
		if file == nil {
			continue
		}
		if err := validate(s.file, file); err != nil {
			return err
		}
	}
	if e.Container != nil {
		return validate(s.container, e.Container)
	}
	return nil
}

func validate(schema *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func TestBothTake(t *testing.T) {
	schemas := compile(t)
	for _, e := range examples(t, "good.json") {
		t.Run(e.Case, func(t *testing.T) {
			if err := schemas.validate(&e); err != nil {
				t.Errorf("the schema: %v", err)
			}
			if err := e.parse(); err != nil {
				t.Errorf("the parser: %v", err)
			}
		})
	}
}

func TestBothRefuse(t *testing.T) {
	schemas := compile(t)
	list := append(examples(t, "bad.json"),
		example{Case: "1025 rules", Entry: json.RawMessage(`{"rules": ` + rules(1025) + `}`)},
		example{Case: "65 rules for a container", Container: json.RawMessage(rules(65))})
	for _, e := range list {
		t.Run(e.Case, func(t *testing.T) {
			if schemas.validate(&e) == nil {
				t.Error("the schema takes it")
			}
			if e.parse() == nil {
				t.Error("the parser takes it")
			}
		})
	}
}

// rules is a list of count rules.
func rules(count int) string {
	return "[" + strings.Repeat(`{"protocol": "tcp", "action": "drop"}, `, count-1) + `{"protocol": "udp", "action": "drop"}]`
}

func TestAsManyAsMayBe(t *testing.T) {
	schemas := compile(t)
	for _, e := range []example{{Entry: json.RawMessage(`{"rules": ` + rules(1024) + `}`)}, {Container: json.RawMessage(rules(64))}} {
		if err := schemas.validate(&e); err != nil {
			t.Errorf("the schema: %v", err)
		}
		if err := e.parse(); err != nil {
			t.Errorf("the parser: %v", err)
		}
	}
}

// TestParserAlone lists errors that a schema cannot express.
func TestParserAlone(t *testing.T) {
	schemas := compile(t)
	for _, e := range examples(t, "parser.json") {
		t.Run(e.Case, func(t *testing.T) {
			if err := schemas.validate(&e); err != nil {
				t.Errorf("the schema can say it, too: move it to bad.json: %v", err)
			}
			if err := e.parse(); err == nil || !strings.Contains(err.Error(), e.Says) {
				t.Errorf("the parser says %v, should say %q", err, e.Says)
			}
		})
	}
}

func TestSamplesAreValid(t *testing.T) {
	schemas := compile(t)
	files, err := filepath.Glob(conf + "/*.conflist")
	must(t, err)
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		if err := schemas.validate(&example{List: text}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var list struct {
			Plugins []json.RawMessage
		}
		must(t, json.Unmarshal(text, &list))
		for _, plugin := range list.Plugins {
			if !bytes.Contains(plugin, []byte(`"xdp-port"`)) {
				continue
			}
			count++
			if err := schemas.validate(&example{Entry: plugin}); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if count != len(files) {
		t.Errorf("%d samples have %d entries of xdp-port", len(files), count)
	}
}
