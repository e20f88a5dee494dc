package main

import (
	"io"
	"regexp"
	"strings"
	"testing"
)

// reportOf is the report of a kernel on which the tests print this text.
func reportOf(t *testing.T, kernel, printed string) *report {
	t.Helper()
	r := listen(kernel, func(*suiteRun) {}, func(w io.Writer) error {
		// A test binary marks its lines with a byte that no test prints.
		_, err := io.WriteString(w, regexp.MustCompile(`(?m)^(===|---|PASS$|FAIL$)`).ReplaceAllString(printed, "\x16$1"))
		return err
	})
	r.took = 0
	return r
}

// TestTable reads the output of test binaries on two kernels, one of which lacks a feature.
func TestTable(t *testing.T) {
	old := reportOf(t, "old", `#### begin a
=== RUN   TestLife
=== RUN   TestLife/ADD/tcx
    life_test.go:7: tcx needs Linux 6.6
=== RUN   TestLife/ADD/clsact
--- SKIP: TestLife/ADD/tcx (0.00s)
--- PASS: TestLife/ADD/clsact (0.00s)
--- PASS: TestLife (0.00s)
=== RUN   TestMore
    more_test.go:9: tcx needs Linux 6.6
--- SKIP: TestMore (0.00s)
PASS

#### end a 0
#### done
`)
	running := reportOf(t, "new", `#### begin a
=== RUN   TestLife
=== RUN   TestLife/ADD/tcx
=== RUN   TestLife/ADD/clsact
    life_test.go:12: it is broken
--- PASS: TestLife/ADD/tcx (0.00s)
--- FAIL: TestLife/ADD/clsact (0.00s)
--- FAIL: TestLife (0.00s)
=== RUN   TestMore
=== RUN   TestMore/part
--- PASS: TestMore/part (0.00s)
--- PASS: TestMore (0.00s)
FAIL

#### end a 1
`)
	var table strings.Builder
	writeTable(&table, []*report{old, running})
	want := []string{
		"test old new",
		"a.TestLife pass fail", "a.TestLife/ADD/tcx skip(1) pass", "a.TestLife/ADD/clsact pass fail",
		"a.TestMore skip(1) pass", "a.TestMore/part - pass",
		"in all 0s 0s", "2 pass 3 pass", "0 fail 2 fail", "2 skip 0 skip",
		"- not run: what it is part of was skipped or failed before",
		"skip(1) tcx needs Linux 6.6",
	}
	var got []string
	for line := range strings.Lines(table.String()) {
		if words := strings.Fields(line); len(words) > 0 {
			got = append(got, strings.Join(words, " "))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the table is\n%s\nshould be\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var failures strings.Builder
	writeFailures(&failures, []*report{old, running})
	if said := failures.String(); !strings.Contains(said, "fail a.TestLife/ADD/clsact, new\n    life_test.go:12: it is broken\n") {
		t.Errorf("of failures it says\n%s", said)
	}
	if err := old.err(); err != nil {
		t.Errorf("the old kernel: %v", err)
	}
	for _, part := range []string{"new: 2 tests failed", "a: exit status 1", "did not come to their end"} {
		if err := running.err(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the new kernel: %v, should have %q", err, part)
		}
	}
}
