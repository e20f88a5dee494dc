package hook

import (
	"math"

	"github.com/vishvananda/netlink"
)

// FilterPriority is the priority of our filters, if nothing speaks against it:
// early, because another's filter may end the walk, but not the 1 that others
// fight for.
const FilterPriority = 2

// priorities are what foreign filters leave for ours.
type priorities struct {
	// taken are those that have foreign filters, and tell whether ours can be
	// among them.
	taken map[uint16]bool
	// first is the first one with a filter that may end the chain.
	first uint16
}

func prioritiesOf(filters []netlink.Filter) priorities {
	p := priorities{map[uint16]bool{}, math.MaxUint16}
	for _, filter := range filters {
		if !isForeign(filter) || !isInMainChain(filter) {
			continue
		}
		priority := filter.Attrs().Priority
		shared, known := p.taken[priority]
		p.taken[priority] = canShare(filter) && (shared || !known)
		if mayEndChain(filter) {
			p.first = min(p.first, priority)
		}
	}
	return p
}

// choose returns a priority ahead of all filters that may end the chain, where
// there is one: one that nobody has, or else that of the first of them, whose
// filters ours is put in front of (net/sched/cls_bpf.c, cls_bpf_change). Where
// there is no place ahead it returns a free one behind.
func (p priorities) choose() uint16 {
	if p.isFree(FilterPriority) && FilterPriority < p.first {
		return FilterPriority
	}
	for priority := uint16(1); priority < p.first; priority++ {
		if p.isFree(priority) {
			return priority
		}
	}
	if p.taken[p.first] {
		return p.first
	}
	priority := uint16(FilterPriority)
	for !p.isFree(priority) {
		priority++
	}
	return priority
}

func (p priorities) isFree(priority uint16) bool {
	_, taken := p.taken[priority]
	return !taken
}
