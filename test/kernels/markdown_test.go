package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReport keeps results of two kernels, package by package, and reads the page with them.
func TestReport(t *testing.T) {
	o := &options{out: t.TempDir()}
	keep := func(of identity, want string, tests ...*test) {
		t.Helper()
		name := filepath.Base(strings.Split(want, "=")[0])
		if err := o.keep(of, &suiteRun{name: name, want: want, tests: tests}); err != nil {
			t.Fatal(err)
		}
	}
	old, newer := identity{"6.1", "6.1.0-50", "amd64"}, identity{"6.12/arm64", "6.12.1", "arm64"}
	result := func(name, outcome string, said ...string) *test {
		return &test{name: name, outcome: outcome, said: said}
	}
	keep(old, "./pkg/a", result("a.TestOne", "fail"), result("a.TestOne/stale", "fail"), result("a.TestOther", "pass"))
	keep(old, "./pkg/a", result("a.TestOne", "pass"), result("a.TestOne/part", "pass"), result("a.TestTCX", "skip", "a_test.go:7: tcx needs Linux 6.6"))
	keep(old, "./test/b=^TestX$", result("b.TestX", "pass"))
	keep(newer, "./pkg/a", result("a.TestOne", "fail"), result("a.TestOne/part", "fail"), result("a.TestTCX", "pass"))
	keep(identity{"5.10", "5.10.0", "amd64"}, belowMinimumTests[0], result("conformance.TestBelowMinimum", "pass"))

	page := filepath.Join(o.out, "kernels.md")
	if err := writeReport(page, o.out, []string{"6.1", "6.12/arm64", "5.10"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| 6.1 | 6.1.0-50 | amd64 | 4 | 0 | 1 |", "| 6.12/arm64 | 6.12.1 | arm64 | 1 | 2 | 0 |", "| 5.10 | 5.10.0 | amd64 | 1 | 0 | 0 |",
		"| test | 6.1 | 6.12/arm64 |",
		"| TestOne | pass, parts: 1 | fail |", "| TestOne/part | pass | fail |", "| TestTCX | skip (1) | pass |",
		"## test/b", "| TestX | pass | - |", "| TestOther | pass | - |",
		"## test/conformance, below the minimum", "| test | 5.10 |", "| TestBelowMinimum | pass |",
		"1. tcx needs Linux 6.6",
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the page lacks %q", line)
		}
	}
	if strings.Contains(string(text), "stale") {
		t.Error("the page has results that a later run replaced")
	}
	if t.Failed() {
		t.Logf("%s", text)
	}
}
