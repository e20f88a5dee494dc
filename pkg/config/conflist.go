package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// PluginType is what a network's configuration calls xdp-port.
const PluginType = "xdp-port"

// Versions are those of CNI that xdp-port speaks.
var Versions = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// List is a network configuration list, what runtimes keep in a conflist file,
// without mistakes as far as xdp-port is concerned.
type List struct {
	Name string
	// Entries are those of xdp-port, at least one. Of several in one network
	// each takes the place of the one before.
	Entries []Entry
}

// Entry is what a list has for xdp-port.
type Entry struct {
	*Network
	// Index is its place in the list of plugins.
	Index int
	// RuleAt is where each rule is written.
	RuleAt []Position
	// At is where the entry itself is.
	At Position
	// Overwritten are keys that have no effect, since runtimes put the list's in
	// their place.
	Overwritten []Mistake
	// raw is the plugin's configuration as it is written.
	raw map[string]json.RawMessage
}

// Position is a place in a text, both from 1; a column is a character.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// ParseList reads a network configuration list, or a single configuration of
// xdp-port as runtimes take it too, from the text of a file.
//
// Returns an *Error that lists all mistakes, with their lines and columns, in
// document order.
func ParseList(text []byte) (*List, error) {
	document, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	p := newListParser(text)
	list := p.list(document)
	if err := p.located(); err != nil {
		return nil, err
	}
	return list, nil
}

// listParser also knows the text of a file, to tell lines.
type listParser struct {
	parser
	text  []byte
	start int // where in text the document begins
}

func newListParser(text []byte) *listParser {
	return &listParser{text: text, start: documentStart(text)}
}

// documentStart is where in a text its JSON document begins.
func documentStart(text []byte) int { return len(text) - len(bytes.TrimLeft(text, " \t\r\n")) }

// located returns the mistakes with their lines and columns, or nil.
func (p *listParser) located() error {
	for i := range p.mistakes {
		p.mistakes[i].At = p.position(p.mistakes[i].offset)
	}
	return p.err()
}

func (p *listParser) position(offset int) Position { return positionAt(p.text, p.start+offset) }

func (p *listParser) list(document *value) *List {
	if kind, _ := document.at("type").text(); document.at("plugins") == nil && kind == PluginType {
		o := p.networkObject(document)
		p.refuseFilledIn(o)
		network := p.networkOf(o)
		return &List{Name: network.Name, Entries: []Entry{p.entry(document, network, 0)}}
	}
	o, _ := p.object(document, []string{"cniVersion", "cniVersions", "name", "plugins"})
	given := map[string]*value{"name": o.in("name"), "cniVersion": p.version(o)}
	list := &List{Name: require(&p.parser, o, "name", "give the network one", readNetworkName)}
	if o.in("plugins") == nil {
		p.report(document, "plugins is missing: a conflist has a list of them")
	}
	plugins := p.elements(o.in("plugins"), "plugins")
	for i, plugin := range plugins {
		kind, ok := plugin.at("type").text()
		switch {
		case !ok:
			p.report(plugin, "%s is not a plugin, an object with a type", plugin)
		case kind == "":
			p.report(plugin.at("type"), "is empty: write the name of the plugin's program")
		case kind == PluginType:
			entry := p.entry(plugin, p.chained(plugin, given), i)
			entry.Overwritten = p.overwritten(plugin)
			list.Entries = append(list.Entries, entry)
		}
	}
	p.checkChain(o.in("plugins"), plugins, list)
	return list
}

// version returns the version that a list names, or the last of those that it
// says it can be read as.
func (p *listParser) version(o object) *value {
	if versions := o.in("cniVersions"); versions != nil {
		if elements := p.elements(versions, `versions such as ["1.0.0"]`); len(elements) > 0 {
			for _, version := range append(elements, o.in("cniVersion")) {
				take(&p.parser, version, "", readString)
			}
			p.checkVersions(versions, append(elements, o.in("cniVersion")))
			return elements[len(elements)-1]
		}
	}
	require(&p.parser, o, "cniVersion", `write "1.0.0"`, readString)
	p.checkVersions(o.in("cniVersion"), []*value{o.in("cniVersion")})
	return o.in("cniVersion")
}

// checkVersions reports at v that none of the given versions, of which a runtime
// chooses one, is spoken here.
func (p *listParser) checkVersions(v *value, given []*value) {
	if !v.good() {
		return
	}
	for _, version := range given {
		text, _ := version.text()
		if slices.Contains(Versions, text) {
			return
		}
	}
	p.report(v, "%s", unspoken(v))
}

// chained reads a plugin's configuration as it is once the runtime has put in
// the list's name and version. What is wrong with those is said already.
func (p *listParser) chained(plugin *value, given map[string]*value) *Network {
	o := p.networkObject(plugin)
	p.refuseFilledIn(o)
	for key, v := range given {
		if v == nil {
			v = &value{raw: []byte("0"), bad: true}
		}
		o.set(key, v)
	}
	return p.networkOf(o)
}

// refuseFilledIn reports what only a runtime can know: what the plugins before made
// for the container at hand.
func (p *listParser) refuseFilledIn(o object) {
	if v := o.in("prevResult"); v != nil {
		p.report(v, "the runtime fills it in for each container: leave the key out")
	}
}

// overwritten returns the keys of a plugin that a list has, too.
func (p *listParser) overwritten(plugin *value) (keys []Mistake) {
	for _, key := range []string{"name", "cniVersion"} {
		if v := plugin.at(key); v != nil {
			keys = append(keys, Mistake{
				Place: v.place(), Problem: "has no effect: the " + key + " of the conflist takes its place; leave the key out",
				At: p.position(int(v.offset)),
			})
		}
	}
	return keys
}

func (p *listParser) entry(plugin *value, network *Network, index int) Entry {
	entry := Entry{Network: network, Index: index, At: p.position(int(plugin.offset)), raw: map[string]json.RawMessage{}}
	for _, m := range plugin.members() {
		entry.raw[m.key] = m.raw
	}
	if rules := plugin.at("rules"); rules != nil {
		for _, rule := range rules.elements() {
			entry.RuleAt = append(entry.RuleAt, p.position(int(rule.offset)))
		}
	}
	return entry
}

// ForContainer returns the entry's configuration for a container that has rules
// of its own, a list as JSON, if the entry lets containers have any.
//
// Returns an *Error if the container's rules do not go with those of the
// network.
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
