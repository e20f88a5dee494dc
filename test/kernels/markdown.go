package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

//go:embed introduction.md
var introduction string

// writeReport writes a page about the kept results of some tests on some
// kernels.
func writeReport(path, folder string, kernels, wanted []string) error {
	var tested, below []*results
	for _, kernel := range kernels {
		r, err := readResults(folder, kernel)
		if err != nil {
			return err
		}
		if isBelowMinimum(kernel) {
			below = append(below, r)
		} else {
			tested = append(tested, r)
		}
	}
	var page bytes.Buffer
	page.WriteString(introduction)
	writeKernels(&page, slices.Concat(tested, below), slices.Concat(wanted, belowMinimumTests))
	var why reasons
	for _, want := range wanted {
		writePackage(&page, want, tested, &why)
	}
	for _, want := range belowMinimumTests {
		if len(below) > 0 {
			writePackage(&page, want, below, &why)
		}
	}
	page.WriteString("\n## Reasons for skipped tests\n\n")
	for i, reason := range why {
		fmt.Fprintf(&page, "%d. %s\n", i+1, reason)
	}
	return os.WriteFile(path, page.Bytes(), 0o644)
}

// writeKernels writes a table of the kernels with the sums of their results.
func writeKernels(w io.Writer, all []*results, wanted []string) {
	fmt.Fprint(w, "| kernel | release | processor | passed | failed | skipped | time | date, commit |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range all {
		count, seconds, dates := map[string]int{}, 0, []string{}
		for _, want := range wanted {
			s := r.Suites[want]
			if s == nil {
				continue
			}
			seconds += s.Seconds
			dates = append(dates, s.Date+", "+s.Commit)
			for _, t := range s.Tests {
				count[t.Outcome]++
			}
		}
		slices.Sort(dates)
		fmt.Fprintf(w, "| %s | %s | %s | %d | %d | %d | %d min | %s |\n", r.Kernel, r.Release, r.Architecture,
			count["pass"], count["fail"], count["skip"], (seconds+59)/60, strings.Join(slices.Compact(dates), "; "))
	}
}

// writePackage writes a table of the tests of a package. Of the parts of tests,
// it has those that do not pass everywhere.
func writePackage(w io.Writer, want string, all []*results, why *reasons) {
	path, which, _ := strings.Cut(want, "=")
	fmt.Fprintf(w, "\n## %s\n\n", strings.TrimPrefix(path, "./"))
	if which != "" {
		fmt.Fprintf(w, "Only `%s`.\n\n", which)
	}
	fmt.Fprint(w, "| test |")
	for _, r := range all {
		fmt.Fprintf(w, " %s |", r.Kernel)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(all)))
	for _, name := range testNames(want, all) {
		var row []string
		for _, r := range all {
			row = append(row, r.cell(want, name, why))
		}
		if strings.Contains(name, "/") && isEverywhere(row, "pass") {
			continue
		}
		fmt.Fprintf(w, "| %s | %s |\n", name, strings.Join(row, " | "))
	}
}

// testNames are those of all kernels, sorted.
func testNames(want string, all []*results) (names []string) {
	for _, r := range all {
		if s := r.Suites[want]; s != nil {
			for _, t := range s.Tests {
				names = append(names, t.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func isEverywhere(row []string, cell string) bool {
	return !slices.ContainsFunc(row, func(c string) bool { return c != cell })
}

// cell is the result of a test, with the number of its parts.
func (r *results) cell(want, name string, why *reasons) string {
	s := r.Suites[want]
	if s == nil {
		return "not run"
	}
	found, parts := testResult{}, 0
	for _, t := range s.Tests {
		if t.Name == name {
			found = t
		}
		if strings.HasPrefix(t.Name, name+"/") && t.Outcome == "pass" {
			parts++
		}
	}
	switch {
	case found.Outcome == "":
		return "-"
	case found.Outcome == "skip":
		return fmt.Sprintf("skip (%d)", why.number(found.Reason))
	case parts > 0 && !strings.Contains(name, "/"):
		return fmt.Sprintf("%s, %d parts", found.Outcome, parts)
	}
	return found.Outcome
}
