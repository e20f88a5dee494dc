package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// report tells of tests as go test does without -v, and remembers those that were
// skipped.
type report struct {
	out io.Writer
	// said is what each test has said that did not end yet.
	said                    map[testName][]string
	passed, failed, skipped int
	reasons                 []*reason
	// broken says that a package failed, be it without a test, or that tests could
	// not be run.
	broken bool
}

type testName struct{ pkg, test string }

// ofKernel are the reasons that only another kernel helps with, which is for make
// test-kernels: a run is complete without those tests.
var ofKernel = regexp.MustCompile(`^the kernel |Linux \d`)

// reason is one, and the tests that were skipped for it.
type reason struct {
	text  string
	tests []string
}

func newReport(out io.Writer) *report {
	return &report{out: out, said: map[testName][]string{}}
}

func (r *report) read(from io.Reader) error {
	for decoder := json.NewDecoder(from); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if e.Test == "" {
			r.ofPackage(e)
		} else {
			r.ofTest(e)
		}
	}
}

func (r *report) ofTest(e event) {
	name := testName{e.Package, e.Test}
	switch e.Action {
	case "output":
		if !strings.HasPrefix(e.Output, "=== ") { // RUN, PAUSE, CONT, NAME
			r.said[name] = append(r.said[name], e.Output)
		}
		return
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.print(name)
	case "skip":
		r.skipped++
		r.skip(name)
	default:
		return
	}
	delete(r.said, name)
}

func (r *report) ofPackage(e event) {
	switch e.Action {
	case "output", "build-output":
		if e.Output != "PASS\n" {
			fmt.Fprintf(r.out, "%s", e.Output)
		}
	case "fail":
		r.broken = true
		for name := range r.said { // a panic or a timeout has kept them from their end
			if name.pkg == e.Package {
				r.print(name)
				delete(r.said, name)
			}
		}
	}
}

// print prints what a test has said, its outcome first.
func (r *report) print(name testName) {
	lines := r.said[name]
	isOutcome := func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "--- ") }
	if at := slices.IndexFunc(lines, isOutcome); at > 0 {
		lines = append([]string{lines[at]}, slices.Delete(slices.Clone(lines), at, at+1)...)
	}
	fmt.Fprintf(r.out, "%s", strings.Join(lines, ""))
}

// skip notes why a test was skipped: what it has said last before its outcome.
func (r *report) skip(name testName) {
	text := "no reason is given"
	for _, line := range r.said[name] {
		line = strings.TrimSpace(line)
		if _, message, found := strings.Cut(line, ".go:"); found && !strings.HasPrefix(line, "--- ") {
			_, text, _ = strings.Cut(message, ": ")
		}
	}
	test := strings.TrimPrefix(name.pkg, "github.com/xdp-port/xdp-port/") + " " + name.test
	for _, known := range r.reasons {
		if known.text == text {
			known.tests = append(known.tests, test)
			return
		}
	}
	r.reasons = append(r.reasons, &reason{text, []string{test}})
}

// summarise says what was not tested, and returns the exit code.
func (r *report) summarise() int {
	if len(r.reasons) > 0 {
		fmt.Fprintf(r.out, "\nskipped:\n")
		for _, reason := range r.reasons {
			fmt.Fprintf(r.out, "  %s\n", reason.text)
			slices.Sort(reason.tests) // packages may run at once
			for _, test := range reason.tests {
				fmt.Fprintf(r.out, "      %s\n", test)
			}
		}
		fmt.Fprintln(r.out)
	}
	counts := fmt.Sprintf("%d passed, %d failed, %d skipped", r.passed, r.failed, r.skipped)
	switch {
	case r.failed > 0 || r.broken:
		fmt.Fprintf(r.out, "FAILED: %s\n", counts)
		return exitFailed
	case slices.ContainsFunc(r.reasons, func(reason *reason) bool { return !ofKernel.MatchString(reason.text) }):
		fmt.Fprintf(r.out, "NOT COMPLETE: %s; see above why, and what helps\n", counts)
		return exitIncomplete
	default:
		fmt.Fprintf(r.out, "complete, as far as this kernel goes: %s\n", counts)
		return exitFine
	}
}
