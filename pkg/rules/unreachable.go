package rules

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// Unreachable is a rule that decides no packet, because earlier rules match every
// packet that it matches.
type Unreachable struct {
	// Rule is the index of the rule.
	Rule int
	// Behind is the index of the first rule that alone matches all its packets, or
	// -1 if only several rules together do.
	Behind int
}

// FindUnreachable returns the rules that decide no packet, in order.
//
// The answer is exact: every other rule decides at least one packet. The rules
// must be valid, as for Compile.
func FindUnreachable(list []Rule) []Unreachable {
	reachable := make([]bool, len(list))
	for _, dir := range []Direction{Egress, Ingress} {
		for _, proto := range []Protocol{TCP, UDP} {
			markReachable(list, ofTable(list, dir, proto), reachable)
		}
	}
	var found []Unreachable
	for i := range list {
		if !reachable[i] {
			behind := slices.IndexFunc(list[:i], func(earlier Rule) bool { return earlier.covers(&list[i]) })
			found = append(found, Unreachable{Rule: i, Behind: behind})
		}
	}
	return found
}

// covers reports whether the rule matches every packet that other matches.
func (r *Rule) covers(other *Rule) bool {
	if r.Direction != other.Direction || r.Protocol != other.Protocol || !r.Ports.ContainsAll(other.Ports) {
		return false
	}
	if len(r.Peers) == 0 {
		return true
	}
	// Put both rules on one port: does the second one still decide any packet?
	first := Rule{Ports: PortRange{1, 1}, Peers: r.Peers}
	second := Rule{Ports: PortRange{1, 1}, Peers: other.Peers}
	reachable := make([]bool, 2)
	markReachable([]Rule{first, second}, []int{0, 1}, reachable)
	return !reachable[1]
}

// markReachable marks the rules of one table that decide at least one packet.
func markReachable(list []Rule, mine []int, reachable []bool) {
	w := walker{classifier: newClassifier(&Table{Rules: list}, mine), reachable: reachable}
	for interval := range intervals(list, mine) {
		if len(interval.rules) > 0 && w.isNew(interval.rules) {
			w.walk(interval.rules)
		}
	}
}

// walker visits the peer prefixes of each set of ports, from wide to narrow.
type walker struct {
	*classifier
	reachable []bool
	// around are the regions that contain the current prefix, widest first.
	around []region
}

// region is a prefix without the regions inside it.
type region struct {
	netip.Prefix
	rule  int    // the index of the rule that decides here; -1 for none
	taken amount // the number of its addresses that lie in inner regions
}

// isNew reports whether a walk over these candidates can mark another rule: they
// have not been walked together, and one of them is not marked yet.
func (w *walker) isNew(candidates []int) bool {
	w.key = w.key[:0]
	unknown := false
	for _, i := range candidates {
		w.key = binary.NativeEndian.AppendUint16(w.key, uint16(i))
		unknown = unknown || !w.reachable[i]
	}
	if _, found := w.known[string(w.key)]; found {
		return false
	}
	w.known[string(w.key)] = 0
	return unknown
}

// walk marks the candidates that decide for at least one peer.
func (w *walker) walk(candidates []int) {
	otherwise, named := w.name(candidates)
	for _, family := range everyPeer {
		w.around = append(w.around[:0], region{Prefix: family, rule: otherwise})
		for _, i := range named {
			if prefix := w.prefixes[i]; prefix.Addr().Is4() == family.Addr().Is4() {
				w.enter(prefix, w.deciding[i])
			}
		}
		for len(w.around) > 0 {
			w.leave()
		}
	}
	for _, i := range named {
		w.deciding[i] = -1
	}
}

// everyPeer holds all addresses of both families.
var everyPeer = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// enter opens a region for the prefix. The rule of a wider region decides here,
// too, if it comes earlier in the list.
func (w *walker) enter(prefix netip.Prefix, rule int) {
	for !w.around[len(w.around)-1].Contains(prefix.Addr()) {
		w.leave()
	}
	if outer := w.around[len(w.around)-1].rule; outer >= 0 {
		rule = min(rule, outer)
	}
	w.around = append(w.around, region{Prefix: prefix, rule: rule})
}

// leave closes the innermost region, and marks its rule if the region has
// addresses of its own.
func (w *walker) leave() {
	last := len(w.around) - 1
	r := w.around[last]
	w.around = w.around[:last]
	size := sizeOf(r.Prefix)
	if r.rule >= 0 && r.taken != size {
		w.reachable[r.rule] = true
	}
	if last > 0 {
		w.around[last-1].taken.add(size)
	}
}

// amount is a number of addresses, up to 2^128.
type amount struct{ top, high, low uint64 }

func sizeOf(p netip.Prefix) amount {
	switch host := p.Addr().BitLen() - p.Bits(); {
	case host == 128:
		return amount{top: 1}
	case host >= 64:
		return amount{high: 1 << (host - 64)}
	default:
		return amount{low: 1 << host}
	}
}

func (a *amount) add(b amount) {
	var overflow uint64
	a.low, overflow = bits.Add64(a.low, b.low, 0)
	a.high, overflow = bits.Add64(a.high, b.high, overflow)
	a.top += b.top + overflow
}
