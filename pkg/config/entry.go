package config

import (
	"encoding/json"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// Entry is an entry of xdp-port in a list of plugins.
type Entry struct {
	*Network
	// Index is its index in the list of plugins.
	Index int
	// RuleAt are the positions of the rules.
	RuleAt []jsondoc.Position
	// At is the position of the entry.
	At jsondoc.Position
	// Overwritten are keys without effect, because runtimes replace their values by the
	// list's.
	Overwritten []Problem
	// raw is the plugin's configuration as it is written, by key.
	raw map[string]json.RawMessage
}

// ParseEntry reads an entry of xdp-port from a file that contains nothing else. It accepts
// what ParseList accepts as an entry. The type may be missing.
//
// Its errors are of type *Error, with positions.
func ParseEntry(text []byte) (*Entry, error) {
	document, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	p := newListParser(text)
	if kind := document.At("type"); kind != nil && kind.String() != `"`+PluginType+`"` {
		p.report(kind, "%s is not %q: leave the key out", kind, PluginType)
	}
	network := p.chained(document, map[string]*value{"name": nil, "cniVersion": nil, "type": nil})
	if err := p.located(); err != nil {
		return nil, err
	}
	entry := p.entry(document, network, 0)
	entry.Overwritten = p.overwritten(document)
	return &entry, nil
}

// chained reads a plugin's configuration as a runtime passes it on, with the list's name and
// version. given holds these values; their problems are already reported.
func (p *listParser) chained(plugin *value, given map[string]*value) *Network {
	o := p.networkObject(plugin)
	p.refusePrevResult(o)
	for key, v := range given {
		if v == nil {
			v = jsondoc.RejectedValue()
		}
		o.set(key, v)
	}
	return p.networkOf(o)
}

// refusePrevResult reports a result in a file. Only a runtime can know the result of the
// plugins before.
func (p *listParser) refusePrevResult(o object) {
	if v := o.in("prevResult"); v != nil {
		p.report(v, "the runtime fills it in for each container: leave the key out")
	}
}

// overwritten returns the keys of a plugin that the list has, too.
func (p *listParser) overwritten(plugin *value) (keys []Problem) {
	for _, key := range []string{"name", "cniVersion"} {
		if v := plugin.At(key); v != nil {
			keys = append(keys, Problem{
				Place: v.Place(), Text: "has no effect, because the conflist's " + key + " replaces it: leave the key out",
				At: p.positionOf(v),
			})
		}
	}
	return keys
}

func (p *listParser) entry(plugin *value, network *Network, index int) Entry {
	entry := Entry{Network: network, Index: index, At: p.positionOf(plugin), raw: map[string]json.RawMessage{}}
	for _, m := range plugin.Members() {
		entry.raw[m.Key()] = m.Raw()
	}
	if rules := plugin.At("rules"); rules != nil {
		for _, rule := range rules.Elements() {
			entry.RuleAt = append(entry.RuleAt, p.positionOf(rule))
		}
	}
	return entry
}

// ForContainer returns the entry's configuration for a container with its own rules, a JSON
// list. It ignores them if the entry allows no own rules.
//
// It returns an *Error if the own rules conflict with the network's.
func (e *Entry) ForContainer(own json.RawMessage) (*Network, error) {
	if len(own) == 0 || !e.OpenToContainers {
		return e.Network, nil
	}
	raw := map[string]json.RawMessage{}
	for key, value := range e.raw {
		raw[key] = value
	}
	raw["name"], _ = json.Marshal(e.Name)
	raw["cniVersion"], _ = json.Marshal(e.CNIVersion)
	raw["capabilities"] = json.RawMessage(fmt.Sprintf(`{%q: true}`, CapabilityRules))
	raw["runtimeConfig"] = json.RawMessage(fmt.Sprintf(`{%q: %s}`, CapabilityRules, own))
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, fmt.Errorf("the container's own rules: %w", err)
	}
	return Parse(text)
}
