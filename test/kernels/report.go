package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// report has the results of one kernel.
type report struct {
	kernel string
	took   time.Duration
	suite  string // the package whose tests run
	tests  map[string]*test
	count  map[string]int // by the word for what became of them
	// noted are the tests that were skipped, and those that failed.
	skipped, failed []*test
	errs            []error
	done            bool
}

// test is a test, by its full name, and what it said.
type test struct {
	name string
	said []string
}

// listen runs the tests on a kernel, tells of each one that ended, and reports
// on all.
func listen(kernel string, run func(io.Writer) error) *report {
	fmt.Printf("\n== %s\n", kernel)
	r := &report{kernel: kernel, tests: map[string]*test{}, count: map[string]int{}}
	began := time.Now()
	r.note(r.convert(run))
	r.took = time.Since(began)
	if !r.done {
		r.note(fmt.Errorf("the tests did not come to their end, the last were those of %s", r.suite))
	}
	return r
}

func (r *report) note(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// convert has the go tool make events of what the tests print.
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
type event struct{ Action, Test, Output string }

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

// ofSuite reads what is said between tests, the marks of the script among it.
func (r *report) ofSuite(line string) {
	if name, is := strings.CutPrefix(line, beginMark); is {
		r.suite = name
		return
	}
	if line == doneMark {
		r.done = true
		return
	}
	end, is := strings.CutPrefix(line, endMark)
	if !is {
		if line != "" && line != "PASS" && line != "FAIL" {
			fmt.Println("    ", line)
		}
		return
	}
	if name, status, _ := strings.Cut(end, " "); status != "0" {
		r.note(fmt.Errorf("%s: exit status %s", name, status))
	}
}

func (r *report) ofTest(e event) {
	name := r.suite + "." + e.Test
	t := r.tests[name]
	if t == nil {
		t = &test{name: name}
		r.tests[name] = t
	}
	switch e.Action {
	case "output":
		if line := strings.TrimSpace(e.Output); !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			t.said = append(t.said, line)
		}
		return
	case "pass":
	case "skip":
		r.skipped = append(r.skipped, t)
	case "fail":
		r.failed = append(r.failed, t)
	default:
		return
	}
	r.count[e.Action]++
	fmt.Println(e.Action, t.name)
}

// err is nil if all is well.
func (r *report) err() error {
	if len(r.errs) == 0 && len(r.failed) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d tests failed: %w", r.kernel, len(r.failed), errors.Join(r.errs...))
}

// summary tells what was skipped, and why, and what failed, and how.
func (r *report) summary(w io.Writer) {
	fmt.Fprintf(w, "\n== %s: %d passed, %d failed, %d skipped, in %s\n",
		r.kernel, r.count["pass"], r.count["fail"], r.count["skip"], r.took.Round(time.Second))
	for _, t := range r.skipped {
		fmt.Fprintf(w, "skipped %s: %s\n", t.name, strings.Join(t.said, " "))
	}
	for _, t := range r.failed {
		fmt.Fprintf(w, "failed %s:\n    %s\n", t.name, strings.Join(t.said, "\n    "))
	}
}
