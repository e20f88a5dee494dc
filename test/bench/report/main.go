// Report writes bench.json, the result of a bench run, into docs and the README.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/xdp-port/xdp-port/test/bench/internal/report"
	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

func main() {
	input := flag.String("i", "bench.json", "the run")
	root := flag.String("root", ".", "the repository to write into")
	flag.Parse()
	if err := run(*input, *root); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(input, root string) error {
	found, err := result.Read(input)
	if err != nil {
		return err
	}
	if found.Quick {
		return fmt.Errorf("%s is of a quick run, whose figures are not for quoting: make bench", input)
	}
	return report.Write(found, root)
}
