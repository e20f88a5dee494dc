package rules

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// Unreachable says that a rule never decides, whatever the packet: those before
// it have taken every one that it is about.
type Unreachable struct {
	// Rule is its index.
	Rule int
	// Behind is the index of the first rule that takes all of its packets; -1 if
	// it takes several to do so.
	Behind int
}

// FindUnreachable returns the rules that no packet gets to, in order. It is
// exact: a rule that it does not name decides some packet. Rules must be valid,
// as for Compile.
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
			behind := slices.IndexFunc(list[:i], func(earlier Rule) bool { return earlier.takesAllOf(&list[i]) })
			found = append(found, Unreachable{Rule: i, Behind: behind})
		}
	}
	return found
}

// takesAllOf tells whether every packet that the other rule is about is one
// that this rule is about.
func (r *Rule) takesAllOf(other *Rule) bool {
	if r.Direction != other.Direction || r.Protocol != other.Protocol ||
		other.Ports.First < r.Ports.First || r.Ports.Last < other.Ports.Last {
		return false
	}
	if len(r.Peers) == 0 {
		return true
	}
	// What is left of other behind r, were they two rules about one port.
	first := Rule{Ports: PortRange{1, 1}, Peers: r.Peers}
	second := Rule{Ports: PortRange{1, 1}, Peers: other.Peers}
	reachable := make([]bool, 2)
	markReachable([]Rule{first, second}, []int{0, 1}, reachable)
	return !reachable[1]
}

// markReachable marks those of mine, the rules of one table, that decide some
// packet.
func markReachable(list []Rule, mine []int, reachable []bool) {
	w := walker{classifier: newClassifier(&Table{Rules: list}, mine), reachable: reachable}
	for interval := range intervals(list, mine) {
		if len(interval.rules) > 0 && w.isNew(interval.rules) {
			w.walk(interval.rules)
		}
	}
}

// walker goes through the peers of each set of ports, from wide prefixes to
// narrow ones.
type walker struct {
	*classifier
	reachable []bool
	// around are the prefixes that the one at hand lies in, widest first.
	around []region
}

// region is a prefix, but for those that lie in it and are regions themselves.
type region struct {
	netip.Prefix
	rule  int    // the one that decides in it; -1 for none
	taken amount // how many of its addresses are in others
}

// isNew tells whether these rules were not walked together before, and some of
// them is not known to be reachable.
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

// walk marks the rules that decide for some peer.
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

// everyPeer are all addresses of both families.
var everyPeer = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// name sets deciding to the first of the candidates that names a prefix, and
// returns the indices of those prefixes, ascending, and the rule for all others.
func (w *walker) name(candidates []int) (otherwise int, named []int) {
	otherwise = -1
	for _, i := range candidates {
		if len(w.table.Rules[i].Peers) == 0 {
			otherwise = i
		}
		for _, prefix := range w.byRule[i] {
			if w.deciding[prefix] < 0 {
				w.deciding[prefix] = i
				named = append(named, prefix)
			}
		}
	}
	slices.Sort(named)
	return otherwise, named
}

// enter goes on to a prefix, whose rule is that of a wider one if that is
// earlier in order.
func (w *walker) enter(prefix netip.Prefix, rule int) {
	for !w.around[len(w.around)-1].Contains(prefix.Addr()) {
		w.leave()
	}
	if outer := w.around[len(w.around)-1].rule; outer >= 0 {
		rule = min(rule, outer)
	}
	w.around = append(w.around, region{Prefix: prefix, rule: rule})
}

// leave marks the rule of the innermost region, if that has addresses of its own.
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

// amount is a number of addresses, up to 2 to the power of 128.
type amount struct{ carry, high, low uint64 }

func sizeOf(p netip.Prefix) amount {
	switch host := p.Addr().BitLen() - p.Bits(); {
	case host == 128:
		return amount{carry: 1}
	case host >= 64:
		return amount{high: 1 << (host - 64)}
	default:
		return amount{low: 1 << host}
	}
}

func (a *amount) add(b amount) {
	var carry uint64
	a.low, carry = bits.Add64(a.low, b.low, 0)
	a.high, carry = bits.Add64(a.high, b.high, carry)
	a.carry += b.carry + carry
}
