package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

//go:embed introduction.md
var introduction string

// writeReport writes a page with the kept results of some kernels.
func writeReport(path, folder string, kernels []string) error {
	var tested, below []*results
	for _, kernel := range kernels {
		r, err := readResults(folder, kernel)
		if err != nil {
			return err
		}
		if len(r.Packages) == 0 {
			continue
		}
		if isBelowMinimum(kernel) {
			below = append(below, r)
		} else {
			tested = append(tested, r)
		}
	}
	var page bytes.Buffer
	page.WriteString(introduction)
	writeKernels(&page, slices.Concat(tested, below))
	var why reasons
	for _, path := range packages(tested) {
		fmt.Fprintf(&page, "\n## %s\n\n", strings.TrimPrefix(path, "./"))
		writePackage(&page, path, tested, &why)
	}
	for _, path := range packages(below) {
		fmt.Fprintf(&page, "\n## %s, below the minimum\n\n", strings.TrimPrefix(path, "./"))
		writePackage(&page, path, below, &why)
	}
	page.WriteString("\n## Reasons for skipped tests\n\n")
	for i, reason := range why {
		fmt.Fprintf(&page, "%d. %s\n", i+1, reason)
	}
	return os.WriteFile(path, page.Bytes(), 0o644)
}

// writeKernels writes a table of the kernels with the totals of their results.
func writeKernels(page *bytes.Buffer, all []*results) {
	page.WriteString("| kernel | release | processor | passed | failed | skipped | time | dates |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range all {
		count, seconds, dates := map[string]int{}, 0.0, []string{}
		for _, path := range packages([]*results{r}) {
			for name, t := range r.Packages[path] {
				count[t.Outcome]++
				if !strings.Contains(name, "/") {
					seconds += t.Seconds
				}
				dates = append(dates, t.Date)
			}
		}
		slices.Sort(dates)
		fmt.Fprintf(page, "| %s | %s | %s | %d | %d | %d | %.0f min | %s |\n", r.Kernel, r.Release, r.Architecture,
			count["pass"], count["fail"], count["skip"], seconds/60, strings.Join(slices.Compact(dates), ", "))
	}
}

// writePackage writes a table of a package's tests. It includes only those subtests that failed or
// were skipped.
func writePackage(page *bytes.Buffer, path string, all []*results, why *reasons) {
	page.WriteString("| test |")
	for _, r := range all {
		fmt.Fprintf(page, " %s |", r.Kernel)
	}
	fmt.Fprintf(page, "\n|---|%s\n", strings.Repeat("---|", len(all)))
	for _, name := range testNames(path, all) {
		var row []string
		for _, r := range all {
			row = append(row, r.Packages[path].cell(name, why))
		}
		if strings.Contains(name, "/") && !isNotable(row) {
			continue
		}
		fmt.Fprintf(page, "| %s | %s |\n", name, strings.Join(row, " | "))
	}
}

// packages are the packages of all kernels, sorted.
func packages(all []*results) (paths []string) {
	for _, r := range all {
		paths = slices.AppendSeq(paths, maps.Keys(r.Packages))
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// testNames are the tests of all kernels, sorted.
func testNames(path string, all []*results) (names []string) {
	for _, r := range all {
		names = slices.AppendSeq(names, maps.Keys(r.Packages[path]))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isNotable reports whether a subtest failed or was skipped on any kernel.
func isNotable(row []string) bool {
	return slices.ContainsFunc(row, func(cell string) bool { return cell != "pass" && cell != "-" })
}

// cell is the result of a test, with the number of its subtests.
func (r packageResults) cell(name string, why *reasons) string {
	parts := 0
	for other, t := range r {
		if strings.HasPrefix(other, name+"/") && t.Outcome == "pass" {
			parts++
		}
	}
	switch t := r[name]; {
	case t.Outcome == "":
		return "-"
	case t.Outcome == "skip":
		return fmt.Sprintf("skip (%d)", why.number(t.Reason))
	case parts > 0 && !strings.Contains(name, "/"):
		return fmt.Sprintf("%s, parts: %d", t.Outcome, parts)
	default:
		return t.Outcome
	}
}
