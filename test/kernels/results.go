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

// results are those of one kernel, as a file has them between runs: it takes
// hours to run all tests on all kernels at once.
type results struct {
	Kernel       string                    `json:"kernel"` // as the command line has it
	Release      string                    `json:"release"`
	Architecture string                    `json:"architecture"`
	Packages     map[string]packageResults `json:"packages"` // by their paths
}

// packageResults are by the names of tests.
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

// readResults returns none if there is no file.
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

// keep adds the results of a package, or of some of its tests, to those of the
// kernel.
func (o *options) keep(of identity, run *suiteRun) error {
	if len(run.tests) == 0 {
		return nil
	}
	all, err := readResults(o.out, of.name)
	if err != nil {
		return err
	}
	if all.Release != of.release { // the kernel is a newer one
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

// replace takes the results of a run for those of the same tests.
func (r packageResults) replace(run *suiteRun) {
	_, which, _ := strings.Cut(run.want, "=")
	if !strings.Contains(which, "/") { // all parts of a test ran: the others are no more
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

// commit is what was tested.
func commit() string {
	text, err := output("git", "describe", "--always", "--dirty", "--exclude", "*")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(text)
}
