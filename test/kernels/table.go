package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// writeTable writes the outcome of each test on each kernel, and why tests were skipped.
func writeTable(w io.Writer, reports []*report) {
	names := names(reports)
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	var why reasons
	row := func(name string, cell func(*report) string) {
		fmt.Fprintf(w, "%-*s", width, name)
		for _, r := range reports {
			fmt.Fprintf(w, "  %-*s", len(r.kernel), cell(r))
		}
		fmt.Fprintln(w)
	}
	row("test", func(r *report) string { return r.kernel })
	for _, name := range names {
		row(name, func(r *report) string { return why.cell(r.tests[name]) })
	}
	row("in all", func(r *report) string { return r.took.Round(time.Second).String() })
	for _, outcome := range []string{"pass", "fail", "skip"} {
		row("", func(r *report) string { return fmt.Sprint(r.count(outcome), " ", outcome) })
	}
	fmt.Fprintf(w, "\n%-7s  not run: what it is part of was skipped or failed before\n", "-")
	for i, reason := range why {
		fmt.Fprintf(w, "skip(%d)  %s\n", i+1, reason)
	}
}

// writeFailures writes the output of failed tests at the end, because CI may keep only the end of a
// log.
func writeFailures(w io.Writer, reports []*report) {
	for _, r := range reports {
		for _, t := range r.order {
			if t.outcome == "fail" {
				fmt.Fprintf(w, "\nfail %s, %s\n", t.name, r.kernel)
				t.write(w)
			}
		}
	}
}

// names are the names of all tests, in the order of the first kernel that ran them. Subtests follow
// their test.
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
			for !seen[whole] || whole == t.name { // a name may itself contain slashes
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

// reasons are why tests were skipped, without duplicates.
type reasons []string

// cell is the outcome of a test, which may not have run on the kernel.
func (all *reasons) cell(t *test) string {
	switch {
	case t == nil:
		return "-"
	case t.outcome == "":
		return "no end"
	case t.outcome != "skip":
		return t.outcome
	}
	return fmt.Sprintf("skip(%d)", all.number(t.reason()))
}

// number is the position of a reason in the list, from 1.
func (all *reasons) number(reason string) int {
	i := slices.Index(*all, reason)
	if i < 0 {
		i = len(*all)
		*all = append(*all, reason)
	}
	return i + 1
}
