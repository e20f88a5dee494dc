package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// report is the results of one kernel.
type report struct {
	kernel string
	took   time.Duration
	tests  map[string]*test
	order  []*test // in the order of their start
	suite  suiteRun
	ended  func(*suiteRun)
	errs   []error
	done   bool
}

// suiteRun is a run of a package's tests.
type suiteRun struct {
	name  string
	want  string // as on the command line
	began time.Time
	count map[string]int // number of tests by outcome
	tests []*test
}

// test is a test, by its full name, with its outcome and its output.
type test struct {
	name    string // with the package first
	outcome string // pass, fail or skip, as in test2json; empty until it ends
	said    []string
	seconds float64
}

// short is the name without the package. whole is the name of the test that t is a subtest of, or
// its own.
func (t *test) short() string { return t.name[strings.Index(t.name, ".")+1:] }
func (t *test) whole() string { whole, _, _ := strings.Cut(t.short(), "/"); return whole }

// listen runs the tests on a kernel. It prints the results of tests that are no subtests and of
// failed ones, and returns the report. It calls ended after each package.
func listen(kernel string, ended func(*suiteRun), run func(io.Writer) error) *report {
	fmt.Printf("\n== %s\n", kernel)
	r := &report{kernel: kernel, tests: map[string]*test{}, ended: ended}
	began := time.Now()
	r.problem(r.convert(run))
	r.took = time.Since(began)
	if !r.done {
		r.ended(&r.suite)
		r.problem(fmt.Errorf("the tests did not come to their end, the last were those of %s", r.suite.name))
	}
	return r
}

func (r *report) problem(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// convert lets the go tool make events out of the tests' output.
func (r *report) convert(run func(io.Writer) error) error {
	converter := exec.Command("go", "tool", "test2json", "-t")
	converter.Stderr = os.Stderr
	stdin, err := converter.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := converter.StdoutPipe()
	if err != nil {
		return err
	}
	if err := converter.Start(); err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- errors.Join(run(stdin), stdin.Close()) }()
	read := r.read(stdout)
	_, _ = io.Copy(io.Discard, stdout)
	return errors.Join(<-ran, read, converter.Wait())
}

// event is a line of test2json (go doc test2json).
type event struct {
	Action, Test, Output string
	Elapsed              float64 // seconds
}

func (r *report) read(from io.Reader) error {
	for decoder := json.NewDecoder(from); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if e.Test != "" {
			r.ofTest(e)
		} else if e.Action == "output" {
			r.ofSuite(strings.TrimSpace(e.Output))
		}
	}
}

// ofSuite reads lines between tests, such as the script's marks.
func (r *report) ofSuite(line string) {
	if begun, is := strings.CutPrefix(line, beginMark); is {
		name, want, _ := strings.Cut(begun, " ")
		r.suite = suiteRun{name: name, want: want, began: time.Now(), count: map[string]int{}}
		return
	}
	if end, is := strings.CutPrefix(line, endMark); is {
		r.endSuite(end)
		return
	}
	switch line {
	case doneMark:
		r.done = true
	case "", "PASS", "FAIL":
	default:
		fmt.Println("    ", line)
	}
}

func (r *report) endSuite(end string) {
	count := r.suite.count
	fmt.Printf("%-14s %4d passed, %d failed, %d skipped, in %s\n", r.suite.name,
		count["pass"], count["fail"], count["skip"], time.Since(r.suite.began).Round(time.Second))
	if len(count) == 0 {
		r.problem(fmt.Errorf("%s: no tests ran", r.suite.name))
	}
	if name, status, _ := strings.Cut(end, " "); status != "0" {
		r.problem(fmt.Errorf("%s: exit status %s", name, status))
	}
	r.ended(&r.suite)
}

func (r *report) ofTest(e event) {
	name := r.suite.name + "." + e.Test
	t := r.tests[name]
	if t == nil {
		t = &test{name: name}
		r.tests[name] = t
		r.order = append(r.order, t)
		r.suite.tests = append(r.suite.tests, t)
	}
	switch e.Action {
	case "output":
		if line := strings.TrimSpace(e.Output); !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			t.said = append(t.said, line)
		}
	case "pass", "fail", "skip":
		t.outcome, t.seconds = e.Action, e.Elapsed
		r.suite.count[e.Action]++
		if e.Action == "fail" || !strings.Contains(e.Test, "/") {
			fmt.Printf("%s %s (%.1f s)\n", e.Action, t.name, e.Elapsed)
		}
		if e.Action == "fail" {
			t.write(os.Stdout)
		}
	}
}

// write writes the test's output.
func (t *test) write(w io.Writer) {
	fmt.Fprintf(w, "    %s\n", strings.Join(t.said, "\n    "))
}

// line is the place of a test's message.
var line = regexp.MustCompile(`^\S+\.go:[0-9]+: `)

// reason is why a test was skipped.
func (t *test) reason() string {
	if len(t.said) == 0 {
		return "it does not say why"
	}
	return line.ReplaceAllString(strings.Join(t.said, " "), "")
}

// count is the number of tests with the outcome.
func (r *report) count(outcome string) (count int) {
	for _, t := range r.order {
		if t.outcome == outcome {
			count++
		}
	}
	return count
}

// err is nil if all tests passed.
func (r *report) err() error {
	err := errors.Join(r.errs...)
	if failed := r.count("fail"); failed > 0 {
		err = errors.Join(fmt.Errorf("%d tests failed", failed), err)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", r.kernel, err)
	}
	return err
}
