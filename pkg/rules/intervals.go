package rules

import (
	"cmp"
	"iter"
	"slices"
)

// interval is a range of ports that the same rules match.
type interval struct {
	first, end int // end is the port after the last
	// rules are the candidates in order. The first rule that matches every peer is
	// the last candidate, because no packet gets past it. The slice is valid until
	// the next interval.
	rules []int
}

// edge is the first port of a rule, or the port after its last.
type edge struct {
	port, rule int
}

// intervals cuts the ports where a range of one of the given rules begins or ends.
func intervals(rules []Rule, mine []int) iter.Seq[interval] {
	edges := make([]edge, 0, 2*len(mine))
	for _, i := range mine {
		edges = append(edges,
			edge{int(rules[i].Ports.First), i},
			edge{int(rules[i].Ports.Last) + 1, i})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.port, b.port) })
	return func(yield func(interval) bool) {
		var active []int // the rules that match the current ports, in order
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

// toggle adds the rule to an ordered list, or removes it if the list has it.
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
