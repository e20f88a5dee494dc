// Command kernels runs tests on other kernels. It boots Debian's kernels in emulated machines that
// have this machine's files. "here" is the running kernel, for comparison.
//
//	go run ./test/kernels -kernels "6.1 6.12-rt newest here" ./test/e2e './test/crash=^TestKill'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	o := options{}
	names := flag.String("kernels", "6.1", "`names` of the kernels, with spaces between them: VERSION[-rt][/ARCHITECTURE], newest or here")
	flag.StringVar(&o.out, "out", "bin/kernels", "`folder` for what is built")
	flag.StringVar(&o.report, "report", "", "write a page about earlier runs to this `file` instead of running tests")
	flag.StringVar(&o.cache, "cache", defaultCache(), "`folder` for what is downloaded")
	flag.Parse()
	o.kernels, o.tests = strings.Fields(*names), flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// options are the arguments of the command.
type options struct {
	kernels []string
	tests   []string
	out     string
	cache   string
	report  string
}

// defaultCache is a cache for all of a user's checkouts.
func defaultCache() string {
	folder, err := os.UserCacheDir()
	if err != nil {
		return "bin/kernels"
	}
	return filepath.Join(folder, "xdp-port", "kernels")
}

func (o *options) run(ctx context.Context) (err error) {
	for _, folder := range []*string{&o.out, &o.cache} {
		if *folder, err = filepath.Abs(*folder); err != nil {
			return err
		}
	}
	if o.report != "" {
		return writeReport(o.report, o.out, o.kernels)
	}
	machines, err := o.fetch()
	if err != nil {
		return err
	}
	suites, err := o.build(machines)
	if err != nil {
		return err
	}
	var reports []*report
	for _, m := range machines {
		reports = append(reports, o.test(ctx, m, suites[m.identity().suite()]))
	}
	fmt.Println()
	writeTable(os.Stdout, reports)
	writeFailures(os.Stdout, reports)
	var errs []error
	for _, r := range reports {
		errs = append(errs, r.err())
	}
	return errors.Join(errs...)
}

// test runs the tests on a machine and keeps the results.
func (o *options) test(ctx context.Context, m machine, s *suite) *report {
	var unkept []error
	keep := func(run *suiteRun) { unkept = append(unkept, o.keep(m.identity(), run)) }
	r := listen("Linux "+m.identity().release, keep, func(w io.Writer) error { return m.run(ctx, s, w) })
	r.problem(errors.Join(unkept...))
	return r
}

// identity identifies a machine.
type identity struct {
	name    string // as on the command line
	release string // of the kernel
	arch    string
}

// suite names the tests that the machine runs.
func (id identity) suite() string {
	if isBelowMinimum(id.name) {
		return id.arch + "-below-minimum"
	}
	return id.arch
}

// machine runs tests.
type machine interface {
	identity() identity
	run(ctx context.Context, s *suite, w io.Writer) error
}

// fetch prepares all kernels, so that a wrong name fails before hours of tests.
func (o *options) fetch() (machines []machine, err error) {
	for _, name := range o.kernels {
		if name == running {
			machines = append(machines, thisMachine{})
			continue
		}
		v, err := parseVersion(name)
		if err != nil {
			return nil, err
		}
		k, err := fetch(v, o.cache)
		if err != nil {
			return nil, fmt.Errorf("get kernel %s: %w", name, err)
		}
		machines = append(machines, k)
	}
	return machines, nil
}

// build builds the tests for the machines, once for each kind.
func (o *options) build(machines []machine) (map[string]*suite, error) {
	suites := map[string]*suite{}
	for _, m := range machines {
		id, tests := m.identity(), o.tests
		if suites[id.suite()] != nil {
			continue
		}
		if isBelowMinimum(id.name) {
			tests = belowMinimumTests
		}
		s, err := buildSuite(id.arch, filepath.Join(o.out, id.suite()), tests)
		if err != nil {
			return nil, err
		}
		suites[id.suite()] = s
	}
	return suites, nil
}
