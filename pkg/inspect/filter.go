package inspect

import (
	"net/netip"
	"slices"
)

// Filter selects decisions. A field that is not set matches all.
type Filter struct {
	Direction string
	Protocol  string
	// Ports and Address are of either end, before or after. One of the ports must match.
	Ports   []uint16
	Address netip.Prefix
	// Rule is the name of the rule that decided.
	Rule string
	// Verdicts are alternatives.
	Verdicts []string
}

// Matches reports whether the decision matches all fields.
func (f *Filter) Matches(d *Decision) bool {
	return (f.Direction == "" || f.Direction == d.Direction) &&
		(f.Protocol == "" || f.Protocol == d.Protocol) &&
		(f.Rule == "" || f.Rule == d.Rule) &&
		(len(f.Verdicts) == 0 || slices.Contains(f.Verdicts, d.Verdict)) &&
		f.matchesEnds(d)
}

func (f *Filter) matchesEnds(d *Decision) bool {
	hasPort, hasAddress := len(f.Ports) == 0, !f.Address.IsValid()
	for _, end := range []End{d.Before.Source, d.Before.Destination, d.After.Source, d.After.Destination} {
		hasPort = hasPort || slices.Contains(f.Ports, end.Port())
		hasAddress = hasAddress || f.Address.Contains(end.Addr())
	}
	return hasPort && hasAddress
}
