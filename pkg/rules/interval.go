package rules

import (
	"cmp"
	"iter"
	"slices"
)

// interval is the ports from first to before end, which the same rules are
// about.
type interval struct {
	first, end int
	// rules are the candidates in order, none behind the first that is about
	// every peer, because no packet gets past that one. Not to be kept.
	rules []int
}

// edge is a port where a rule's range begins, or the one behind its last.
type edge struct {
	port, rule int
}

// intervals cuts the ports at the ends of the ranges of the rules in mine.
func intervals(rules []Rule, mine []int) iter.Seq[interval] {
	edges := make([]edge, 0, 2*len(mine))
	for _, i := range mine {
		edges = append(edges,
			edge{int(rules[i].Ports.First), i},
			edge{int(rules[i].Ports.Last) + 1, i})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.port, b.port) })
	return func(yield func(interval) bool) {
		var active []int // rules about the ports at hand, in order
		for i, e := range edges {
			active = toggle(active, e.rule)
			if i+1 == len(edges) || edges[i+1].port == e.port {
				continue
			}
			if !yield(interval{e.port, edges[i+1].port, candidates(rules, active)}) {
				return
			}
		}
	}
}

// toggle adds the rule to an ordered list, or takes it out if it is in it.
func toggle(active []int, rule int) []int {
	at, found := slices.BinarySearch(active, rule)
	if found {
		return slices.Delete(active, at, at+1)
	}
	return slices.Insert(active, at, rule)
}

func candidates(rules []Rule, active []int) []int {
	for n, i := range active {
		if len(rules[i].Peers) == 0 {
			return active[:n+1]
		}
	}
	return active
}
