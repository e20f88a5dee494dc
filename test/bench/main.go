// Bench compares xdp-port with common tools. The contenders take turns, on nodes made of network
// namespaces. It prints tables, and writes bench.json for the plotter in the folder report.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
	"github.com/xdp-port/xdp-port/test/node"
)

func main() {
	output := flag.String("o", "bench.json", "the file to write")
	only := flag.String("only", "", "a regular expression: the comparisons to make")
	quick := flag.Bool("quick", false, "few rounds, to see that all works: figures to quote take a full run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	effort := fullEffort
	if *quick {
		effort = quickEffort
	}
	if err := run(ctx, effort, *only, *output); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// comparisons run in this order.
var comparisons = []struct {
	name    string
	measure func(*bench) error
}{
	{"datagrams", datagrams},
	{"new-flows", newFlows},
	{"bulk", bulk},
	{"drops", drops},
	{"tracing", tracing},
	{"program", program},
	{"lookup", lookup},
	{"startup", startup},
	{"operations", operations},
	{"crowd", crowd},
	{"scrapes", scrapes},
	{"memory", memory},
}

func run(ctx context.Context, effort effort, only, output string) (err error) {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if err := node.Sweep(); err != nil {
		return err
	}
	core, err := traffic.OpenCore()
	if err != nil {
		return err
	}
	defer core.Close()
	began := time.Now()
	b := &bench{ctx: ctx, effort: effort, core: core, out: &result.Result{
		Date: began.UTC().Format(time.RFC3339), Quick: effort != fullEffort, Machine: describe(core),
	}}
	fmt.Println(b.out.Machine)
	var errs []error
	for _, c := range comparisons {
		if !chosen.MatchString(c.name) || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		if err := errors.Join(c.measure(b), b.finish()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
		fmt.Printf("\n(%s: %.0f s)\n", c.name, time.Since(began).Seconds())
	}
	b.out.Seconds = time.Since(began).Round(time.Second).Seconds()
	fmt.Printf("\n### What it must show\n\n")
	result.PrintClaims(os.Stdout, b.out.Claims)
	fmt.Printf("\nThat took %.0f s.\n", b.out.Seconds)
	return errors.Join(append(errs, ctx.Err(), b.out.Write(output))...)
}
