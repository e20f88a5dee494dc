package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// results are the results of one kernel, in a file that later runs add to: it takes hours to run all
// tests on all kernels at once.
type results struct {
	Kernel       string                    `json:"kernel"` // as on the command line
	Release      string                    `json:"release"`
	Architecture string                    `json:"architecture"`
	Packages     map[string]packageResults `json:"packages"` // by path
}

// packageResults are results by the name of the test.
type packageResults map[string]testResult

type testResult struct {
	Outcome string  `json:"outcome"`          // pass, fail or skip
	Reason  string  `json:"reason,omitempty"` // why it was skipped
	Seconds float64 `json:"seconds"`
	Date    string  `json:"date"`
	Commit  string  `json:"commit"`
}

func resultsFile(folder, kernel string) string {
	return filepath.Join(folder, "results", strings.ReplaceAll(kernel, "/", "-")+".json")
}

// readResults returns empty results if there is no file.
func readResults(folder, kernel string) (*results, error) {
	r := &results{Kernel: kernel, Packages: map[string]packageResults{}}
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

// keep adds the results of a package, or of some of its tests, to those of the kernel.
func (o *options) keep(of identity, run *suiteRun) error {
	if len(run.tests) == 0 {
		return nil
	}
	all, err := readResults(o.out, of.name)
	if err != nil {
		return err
	}
	if all.Release != of.release { // a newer kernel has no results yet
		all.Packages = map[string]packageResults{}
	}
	all.Release, all.Architecture = of.release, of.arch
	path, _, _ := strings.Cut(run.want, "=")
	if all.Packages[path] == nil {
		all.Packages[path] = packageResults{}
	}
	all.Packages[path].replace(run)
	text, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(resultsFile(o.out, of.name), text)
}

// replace replaces the results of tests that ran again.
func (r packageResults) replace(run *suiteRun) {
	_, which, _ := strings.Cut(run.want, "=")
	if !strings.Contains(which, "/") { // all subtests ran: others no longer exist
		for _, t := range run.tests {
			maps.DeleteFunc(r, func(name string, _ testResult) bool { return strings.HasPrefix(name, t.whole()+"/") })
		}
	}
	version, date := commit(), time.Now().Format(time.DateOnly)
	for _, t := range run.tests {
		result := testResult{Outcome: t.outcome, Seconds: t.seconds, Date: date, Commit: version}
		switch t.outcome {
		case "skip":
			result.Reason = t.reason()
		case "": // the machine stopped
			continue
		}
		r[t.short()] = result
	}
}

// commit is the commit under test.
func commit() string {
	text, err := output("git", "describe", "--always", "--dirty", "--exclude", "*")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(text)
}
