// Command kernels runs tests on other kernels: each is Debian's, booted in an
// emulated machine that has the files of this one. The same tests then run on
// the kernel that is running, so that the two can be told apart.
//
//	go run ./test/kernels -kernels 6.1 ./test/e2e './test/crash=^TestKill'
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
	versions := flag.String("kernels", "6.1", "`versions` of the kernels, with spaces between them; of each the newest that Debian has")
	out := flag.String("out", "bin/kernels", "`folder` for what is downloaded and built")
	here := flag.Bool("here", true, "run the tests on the running kernel, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, strings.Fields(*versions), *here, *out, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, versions []string, here bool, out string, packages []string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	script, err := build(out, packages)
	if err != nil {
		return err
	}
	var reports []*report
	for _, version := range versions {
		k, err := fetch(version, out)
		if err != nil {
			return fmt.Errorf("get a kernel %s: %w", version, err)
		}
		reports = append(reports, listen("Linux "+k.release, func(w io.Writer) error { return k.run(ctx, script, w) }))
	}
	if here {
		reports = append(reports, listen("Linux "+runningRelease()+", here", func(w io.Writer) error { return runHere(ctx, script, w) }))
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
