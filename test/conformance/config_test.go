package conformance

import (
	"encoding/json"
	"maps"
	"testing"
)

// config is a network configuration on the plugin's stdin.
type config map[string]any

// lab is a configuration that rewrites UDP port 7999 to 7998.
func lab() config {
	return config{
		"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port",
		"rules":      []any{rule("protocol", "udp", "port", 7999, "toPort", 7998)},
		"prevResult": map[string]any{"cniVersion": "1.1.0"},
	}
}

// rule builds a rule of the configuration: rule("protocol", "udp", "port", 53).
func rule(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

// with returns a copy with changed values: with("mode", "native").
func (c config) with(pairs ...any) config {
	changed := maps.Clone(c)
	maps.Copy(changed, rule(pairs...))
	return changed
}

func (c config) without(key string) config {
	changed := maps.Clone(c)
	delete(changed, key)
	return changed
}

func (c config) bytes(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(c)
	must(t, err)
	return text
}
