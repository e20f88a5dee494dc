package hook

import (
	"math"

	"github.com/vishvananda/netlink"
)

// FilterPriority is the preferred priority of our filters. It is early, because a filter ahead may
// end the chain. It is not 1, which other software often uses.
const FilterPriority = 2

// priorities are those that foreign filters leave free.
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

// choose returns a priority ahead of all filters that may end the chain, if there is one: a free
// one, or that of the first of them, since a new filter precedes the others of its priority
// (net/sched/cls_bpf.c, cls_bpf_change). Otherwise it returns a free one behind.
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
