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

// report prints the results of tests as go test does without -v, and collects the
// skipped tests.
type report struct {
	out io.Writer
	// output is the output of each test that has not ended.
	output                  map[testName][]string
	passed, failed, skipped int
	reasons                 []*reason
	// broken is set if a package failed, even without a failed test, or if tests could
	// not run.
	broken bool
}

type testName struct{ pkg, test string }

// ofKernel matches reasons that only another kernel solves. make test-kernels runs
// those tests, so a run is complete without them.
var ofKernel = regexp.MustCompile(`^the kernel |Linux \d`)

// reason is why some tests were skipped.
type reason struct {
	text  string
	tests []string
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[testName][]string{}}
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
			r.output[name] = append(r.output[name], e.Output)
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
	delete(r.output, name)
}

func (r *report) ofPackage(e event) {
	switch e.Action {
	case "output", "build-output":
		if e.Output != "PASS\n" {
			fmt.Fprintf(r.out, "%s", e.Output)
		}
	case "fail":
		r.broken = true
		for name := range r.output { // a panic or a timeout ended them
			if name.pkg == e.Package {
				r.print(name)
				delete(r.output, name)
			}
		}
	}
}

// print prints the output of a test, its result first.
func (r *report) print(name testName) {
	lines := r.output[name]
	isOutcome := func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "--- ") }
	if at := slices.IndexFunc(lines, isOutcome); at > 0 {
		lines = append([]string{lines[at]}, slices.Delete(slices.Clone(lines), at, at+1)...)
	}
	fmt.Fprintf(r.out, "%s", strings.Join(lines, ""))
}

// skip records why a test was skipped: its last message before the result.
func (r *report) skip(name testName) {
	text := "no reason is given"
	for _, line := range r.output[name] {
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

// summarise prints the skipped tests and returns the exit code.
func (r *report) summarise() int {
	if len(r.reasons) > 0 {
		fmt.Fprintf(r.out, "\nskipped:\n")
		for _, reason := range r.reasons {
			fmt.Fprintf(r.out, "  %s\n", reason.text)
			slices.Sort(reason.tests) // packages may run at the same time
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
