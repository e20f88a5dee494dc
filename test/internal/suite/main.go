// suite runs the tests of some modules as go test does, and reports at the end which
// tests were skipped, why, and what helps. go test does not mention skipped tests, and
// would call a run complete in which every third test was skipped.
//
//	suite [-install] [-alone REGEXP] FOLDER... -- FLAGS OF GO TEST PACKAGES
//
// It exits with 1 if a test failed, and with 3 if none failed but some were skipped.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"github.com/xdp-port/xdp-port/test/internal/need"
)

// Exit codes.
const (
	exitFine       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitIncomplete = 3
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// suite is one run.
type suite struct {
	*report
	errs io.Writer
	// alone matches the packages that run with nothing beside them; nil matches none.
	alone *regexp.Regexp
	// flags and packages are arguments of go test.
	flags, packages []string
}

func run(args []string, out, errs io.Writer) int {
	options := flag.NewFlagSet("suite", flag.ContinueOnError)
	options.SetOutput(errs)
	isInstalling := options.Bool("install", false, "install missing Debian packages that tests need")
	s := &suite{report: newReport(out), errs: errs}
	options.Func("alone", "run the packages that match `REGEXP` after the others, one by one", func(text string) (err error) {
		s.alone, err = regexp.Compile(text)
		return err
	})
	at := slices.Index(args, "--")
	if at < 0 || options.Parse(args[:at]) != nil || options.NArg() == 0 {
		fmt.Fprintln(errs, "usage: suite [-install] [-alone REGEXP] FOLDER... -- FLAGS OF GO TEST PACKAGES")
		return exitUsage
	}
	s.flags, s.packages = splitArguments(args[at+1:])
	if packages := need.Missing(); *isInstalling && len(packages) > 0 {
		if err := install(packages, out); err != nil { // the summary names the skipped tests
			fmt.Fprintf(errs, "could not install %s: %v\n", strings.Join(packages, " "), err)
		}
	}
	for _, folder := range options.Args() {
		if err := s.runModule(folder); err != nil {
			fmt.Fprintf(errs, "%s: %v\n", folder, err)
			s.broken = true
		}
	}
	return s.summarise()
}

// splitArguments splits the arguments of go test. Packages come last, and begin with a
// dot.
func splitArguments(args []string) (flags, packages []string) {
	at := len(args)
	for at > 0 && strings.HasPrefix(args[at-1], ".") {
		at--
	}
	return args[:at], args[at:]
}

// runModule runs the tests of a module.
func (s *suite) runModule(folder string) error {
	beside, alone, err := s.choose(folder)
	if err != nil {
		return err
	}
	var errs []error
	if len(beside) > 0 {
		errs = append(errs, s.test(folder, slices.Concat(s.flags, beside)))
	}
	if len(alone) > 0 {
		errs = append(errs, s.test(folder, slices.Concat(s.flags, []string{"-p", "1"}, alone)))
	}
	return errors.Join(errs...)
}

// choose returns the packages that run beside others and those that run alone.
func (s *suite) choose(folder string) (beside, alone []string, err error) {
	if s.alone == nil {
		return s.packages, nil, nil
	}
	list := exec.Command("go", append([]string{"list", "-e"}, s.packages...)...)
	list.Dir, list.Stderr = folder, s.errs
	names, err := list.Output()
	for name := range strings.FieldsSeq(string(names)) {
		if s.alone.MatchString(name) {
			alone = append(alone, name)
		} else {
			beside = append(beside, name)
		}
	}
	return beside, alone, err
}

// test runs go test and reads its events.
func (s *suite) test(folder string, args []string) error {
	command := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	command.Dir, command.Stderr = folder, s.errs
	events, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	read := s.read(events)
	_, _ = io.Copy(io.Discard, events)
	err = command.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && s.broken {
		err = nil // the report has it already
	}
	return errors.Join(read, err)
}
