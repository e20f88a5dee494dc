package config

import (
	"slices"
)

// List is a valid network configuration list, the content of a conflist file. Valid means
// that xdp-port finds nothing wrong.
type List struct {
	Name string
	// Entries are the entries of xdp-port. There is at least one. Each replaces the entry
	// before it.
	Entries []Entry
}

// ParseList reads a network configuration list from the text of a file. It also accepts a
// single configuration of xdp-port, as runtimes do.
//
// Its errors are of type *Error, with positions.
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

// list reads a whole document.
func (p *listParser) list(document *value) *List {
	if kind, _ := document.At("type").Text(); document.At("plugins") == nil && kind == PluginType {
		o := p.networkObject(document)
		p.refusePrevResult(o)
		network := p.networkOf(o)
		return &List{Name: network.Name, Entries: []Entry{p.entry(document, network, 0)}}
	}
	o, _ := p.object(document, []string{"cniVersion", "cniVersions", "name", "plugins"})
	given := map[string]*value{"name": o.in("name"), "cniVersion": p.version(o)}
	list := &List{Name: require(&p.parser, o, "name", "give the network a name", readNetworkName)}
	if o.in("plugins") == nil {
		p.report(document, "plugins is missing: a conflist has a list of plugins")
	}
	plugins := p.elements(o.in("plugins"), "plugins")
	for i, plugin := range plugins {
		kind, ok := plugin.At("type").Text()
		switch {
		case !ok:
			p.report(plugin, "%s is not a plugin, an object with a type", plugin)
		case kind == "":
			p.report(plugin.At("type"), "is empty: write the name of the plugin's program")
		case kind == PluginType:
			entry := p.entry(plugin, p.chained(plugin, given), i)
			entry.Overwritten = p.overwritten(plugin)
			list.Entries = append(list.Entries, entry)
		}
	}
	p.checkChain(o.in("plugins"), plugins, len(list.Entries) > 0)
	return list
}

// version returns the version of a list, or the last one of cniVersions.
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

// checkVersions reports at v that xdp-port supports none of the given versions. A runtime
// chooses one of them.
func (p *listParser) checkVersions(v *value, given []*value) {
	if !v.IsGood() {
		return
	}
	for _, version := range given {
		text, _ := version.Text()
		if slices.Contains(Versions, text) {
			return
		}
	}
	p.report(v, "%s", unsupported(v))
}
