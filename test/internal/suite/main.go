// suite runs the tests of some modules as go test does, and says at the end what
// was skipped, why, and what helps: go test is silent about it, and would call a
// run complete in which every third test did nothing.
//
//	suite [-install] FOLDER... -- ARGUMENTS OF GO TEST
//
// It exits with 1 if a test failed, with 3 if none did but some were skipped.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
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

func run(args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("suite", flag.ContinueOnError)
	flags.SetOutput(errs)
	wanted := flags.Bool("install", false, "install the Debian packages that tests need, if they are missing")
	at := slices.Index(args, "--")
	if at < 0 || flags.Parse(args[:at]) != nil || flags.NArg() == 0 {
		fmt.Fprintln(errs, "usage: suite [-install] FOLDER... -- ARGUMENTS OF GO TEST")
		return exitUsage
	}
	if packages := need.Missing(); *wanted && len(packages) > 0 {
		if err := install(packages, out); err != nil { // what that means is said at the end
			fmt.Fprintf(errs, "could not install %s: %v\n", strings.Join(packages, " "), err)
		}
	}
	r := newReport(out)
	for _, folder := range flags.Args() {
		if err := runModule(r, folder, args[at+1:], errs); err != nil {
			fmt.Fprintf(errs, "%s: %v\n", folder, err)
			r.broken = true
		}
	}
	return r.summarise()
}

// runModule runs the tests of a module.
func runModule(r *report, folder string, args []string, errs io.Writer) error {
	command := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	command.Dir, command.Stderr = folder, errs
	events, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	read := r.read(events)
	_, _ = io.Copy(io.Discard, events)
	err = command.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && r.broken {
		err = nil // that is said already
	}
	return errors.Join(read, err)
}
