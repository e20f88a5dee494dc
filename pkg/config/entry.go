package config

import (
	"slices"
	"strings"
)

// entryKeys are what an entry that stands in a file of its own may have. The
// others of networkKeys are for runtimes to write.
var entryKeys = []string{"type", "capabilities", "mode", "tcHook", "flows", "log", "rules"}

// ParseEntry reads what is to be the entry of xdp-port in a list, from the text
// of a file that has nothing else. The type may be left out, rules may not. It
// is stricter than ParseList: all keys must be known, since none is another
// plugin's.
//
// Returns an *Error that lists all mistakes, with their lines and columns, in
// document order.
func ParseEntry(text []byte) (*Network, error) {
	document, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	p := newListParser(text)
	o, others := p.object(document, entryKeys)
	for _, member := range others {
		p.report(member, "no key of xdp-port's entry: there are %s", strings.Join(entryKeys, ", "))
	}
	if kind := o.in("type"); kind != nil && kind.String() != `"`+PluginType+`"` {
		p.report(kind, "%s is not %q: leave the key out", kind, PluginType)
	}
	if o.in("rules") == nil {
		p.report(document, "rules is missing: write [] for none")
	}
	network := p.chained(document, map[string]*value{"name": nil, "cniVersion": nil})
	// Keys given twice were found twice.
	p.mistakes = slices.CompactFunc(p.sorted(), func(a, b Mistake) bool { return a == b })
	if err := p.located(); err != nil {
		return nil, err
	}
	return network, nil
}
