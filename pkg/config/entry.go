package config

// ParseEntry reads what is to be the entry of xdp-port in a list, from the text
// of a file that has nothing else. It takes what ParseList takes of such an entry;
// the type may be left out.
//
// Returns an *Error that lists all mistakes, with their lines and columns, in
// document order.
func ParseEntry(text []byte) (*Entry, error) {
	document, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	p := newListParser(text)
	if kind := document.at("type"); kind != nil && kind.String() != `"`+PluginType+`"` {
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
