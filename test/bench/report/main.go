// Report puts bench.json, the result of a bench run, where people read it: a picture and all tables into
// docs, a summary into the README.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

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
	if err := drawAll(found, filepath.Join(root, "docs", "bench.svg")); err != nil {
		return err
	}
	if err := writeTables(found, filepath.Join(root, "docs", "bench.md")); err != nil {
		return err
	}
	return fillIn(filepath.Join(root, "README.md"), summary(found))
}

// writeTables writes all tables of a run.
func writeTables(found *result.Result, path string) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# A run of `make bench`\n\n%s. %s; %.0f s.\n", found.Machine, found.Date, found.Seconds)
	fmt.Fprintf(&out, "\nMedians, with quartiles in brackets. Contenders took turns; ratios and differences are those of each round.\n")
	fmt.Fprintf(&out, "\n## What it must show\n\n")
	result.PrintClaims(&out, found.Claims)
	fmt.Fprintf(&out, "\n## What was measured\n")
	for i := range found.Tables {
		found.Tables[i].Print(&out)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// The summary in the README is between these lines.
var beginMark, endMark = []byte("<!-- make report -->\n"), []byte("<!-- end of make report -->\n")

// fillIn replaces the text between the marks of a file.
func fillIn(path string, text []byte) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := bytes.Cut(old, beginMark)
	_, after, ended := bytes.Cut(rest, endMark)
	if !begun || !ended {
		return fmt.Errorf("%s lacks the lines %q and %q", path, beginMark, endMark)
	}
	return os.WriteFile(path, bytes.Join([][]byte{before, beginMark, text, endMark, after}, nil), 0o644)
}
