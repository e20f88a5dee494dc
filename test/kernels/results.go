package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// results are those of one kernel, as a file has them between runs: it takes
// hours to run all tests on all kernels at once.
type results struct {
	Kernel       string                   `json:"kernel"` // as the command line has it
	Release      string                   `json:"release"`
	Architecture string                   `json:"architecture"`
	Suites       map[string]*suiteResults `json:"suites"` // by what was to be run
}

// suiteResults are those of a package.
type suiteResults struct {
	Package string       `json:"package"`
	Date    string       `json:"date"`
	Commit  string       `json:"commit"`
	Seconds int          `json:"seconds"`
	Tests   []testResult `json:"tests"`
}

type testResult struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`          // pass, fail or skip
	Reason  string `json:"reason,omitempty"` // why it was skipped
}

func resultsFile(folder, kernel string) string {
	return filepath.Join(folder, "results", strings.ReplaceAll(kernel, "/", "-")+".json")
}

// readResults returns none if there is no file.
func readResults(folder, kernel string) (*results, error) {
	r := &results{Kernel: kernel, Suites: map[string]*suiteResults{}}
	text, err := os.ReadFile(resultsFile(folder, kernel))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", resultsFile(folder, kernel), err)
	}
	return r, nil
}

// keep adds a package's results to those of the kernel.
func (o *options) keep(of identity, run *suiteRun) error {
	all, err := readResults(o.out, of.name)
	if err != nil {
		return err
	}
	if all.Release != of.release { // the kernel is a newer one
		all.Suites = map[string]*suiteResults{}
	}
	all.Release, all.Architecture = of.release, of.arch
	all.Suites[run.want] = run.results()
	text, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(resultsFile(o.out, of.name), text)
}

func (s *suiteRun) results() *suiteResults {
	r := &suiteResults{
		Package: s.name, Commit: commit(), Date: time.Now().Format(time.DateOnly), Seconds: int(time.Since(s.began).Seconds()),
	}
	for _, t := range s.tests {
		result := testResult{Name: strings.TrimPrefix(t.name, s.name+"."), Outcome: t.outcome}
		switch t.outcome {
		case "skip":
			result.Reason = t.reason()
		case "": // the package came to no end
			result.Outcome = "fail"
		}
		r.Tests = append(r.Tests, result)
	}
	return r
}

// commit is what was tested.
func commit() string {
	text, err := output("git", "describe", "--always", "--dirty", "--exclude", "*")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(text)
}
