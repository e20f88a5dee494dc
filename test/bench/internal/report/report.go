// Package report puts the result of a bench run where people read it: a picture and all tables into
// docs, a summary into the README.
package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

// Write writes a run into a repository. It needs the tables of all comparisons in the picture.
func Write(found *result.Result, root string) error {
	charts, err := chartsOf(found)
	if err != nil {
		return err
	}
	docs := filepath.Join(root, "docs")
	if err := os.MkdirAll(docs, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(docs, "bench.svg"), draw(charts), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(docs, "bench.md"), tables(found), 0o644); err != nil {
		return err
	}
	return fillIn(filepath.Join(root, "README.md"), summary(found))
}

// tables are all tables of a run.
func tables(found *result.Result) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# A run of `make bench`\n\n%s. %s; %.0f s.\n", found.Machine, found.Date, found.Seconds)
	fmt.Fprintf(&out, "\nMedians, with quartiles in brackets. Contenders took turns; ratios and differences are those of each round.\n")
	fmt.Fprintf(&out, "\n## What it must show\n\n")
	result.PrintClaims(&out, found.Claims)
	fmt.Fprintf(&out, "\n## What was measured\n")
	for i := range found.Tables {
		found.Tables[i].Print(&out)
	}
	return out.Bytes()
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
