package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// writeTable writes what became of each test on each kernel, and why tests were
// skipped.
func writeTable(w io.Writer, reports []*report) {
	names := names(reports)
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	var why reasons
	fmt.Fprintf(w, "%-*s", width, "test")
	for _, r := range reports {
		fmt.Fprintf(w, "  %s", r.kernel)
	}
	for _, name := range names {
		fmt.Fprintf(w, "\n%-*s", width, name)
		for _, r := range reports {
			fmt.Fprintf(w, "  %-*s", len(r.kernel), why.cell(r.tests[name]))
		}
	}
	fmt.Fprintf(w, "\n%-*s", width, "in all")
	for _, r := range reports {
		fmt.Fprintf(w, "  %-*s", len(r.kernel), r.took.Round(time.Second))
	}
	fmt.Fprintf(w, "\n\n%-7s  not run: what it is part of was skipped or failed before\n", "-")
	for i, reason := range why {
		fmt.Fprintf(w, "skip(%d)  %s\n", i+1, reason)
	}
}

// names are those of all tests, in the order of the first kernel that ran them,
// each behind the test that it is part of.
func names(reports []*report) (all []string) {
	parts := map[string][]string{}
	seen := map[string]bool{"": true}
	for _, r := range reports {
		for _, t := range r.order {
			if seen[t.name] {
				continue
			}
			seen[t.name] = true
			whole := t.name
			for !seen[whole] || whole == t.name { // a name may have slashes of its own
				whole = whole[:max(0, strings.LastIndex(whole, "/"))]
			}
			parts[whole] = append(parts[whole], t.name)
		}
	}
	var add func(string)
	add = func(whole string) {
		for _, name := range parts[whole] {
			all = append(all, name)
			add(name)
		}
	}
	add("")
	return all
}

// reasons are why tests were skipped, each once.
type reasons []string

// cell is what became of a test, which the kernel may not have run.
func (all *reasons) cell(t *test) string {
	switch {
	case t == nil:
		return "-"
	case t.outcome == "":
		return "no end"
	case t.outcome != "skip":
		return t.outcome
	}
	i := slices.Index(*all, t.reason())
	if i < 0 {
		i = len(*all)
		*all = append(*all, t.reason())
	}
	return fmt.Sprintf("skip(%d)", i+1)
}
