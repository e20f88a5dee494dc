package rules

import "slices"

// interval is a range of ports that the same rules are about.
type interval struct {
	ports PortRange
	// candidates are the indices of those rules in order, without any that is
	// behind one for every address and so can never match.
	candidates []int
}

// cut divides the ports that any member rule is about into intervals.
func cut(rules []Rule, members []int) []interval {
	starts := boundaries(rules, members)
	var intervals []interval
	for n, start := range starts {
		end := 65535
		if n+1 < len(starts) {
			end = starts[n+1] - 1
		}
		ports := PortRange{First: uint16(start), Last: uint16(end)}
		if candidates := candidatesFor(rules, members, ports.First); len(candidates) > 0 {
			intervals = append(intervals, interval{ports: ports, candidates: candidates})
		}
	}
	return intervals
}

// boundaries returns the ports at which the set of rules may change, ascending.
func boundaries(rules []Rule, members []int) []int {
	var starts []int
	for _, i := range members {
		starts = append(starts, int(rules[i].Ports.First))
		if rules[i].Ports.Last < 65535 {
			starts = append(starts, int(rules[i].Ports.Last)+1)
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}

func candidatesFor(rules []Rule, members []int, port uint16) []int {
	var candidates []int
	for _, i := range members {
		if !rules[i].Ports.Contains(port) {
			continue
		}
		candidates = append(candidates, i)
		if len(rules[i].Peers) == 0 {
			break
		}
	}
	return candidates
}
