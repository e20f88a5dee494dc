// Words finds words that the project has replaced by standard ones. It reads
// identifiers as well as prose: heedDevice and heed_device both contain "heed".
//
//	words [-report] REPOSITORY
//
// glossary.txt has the words and what to write instead, allowed.txt the places
// where a word means something else. Words exits with 1 if it finds a word
// anywhere else, or if an entry of allowed.txt allows nothing anymore.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	report := flag.Bool("report", false, "exit with 0 even if there are findings")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: words [-report] REPOSITORY")
		os.Exit(2)
	}
	findings, err := check(flag.Arg(0), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(2)
	}
	if findings > 0 && !*report {
		os.Exit(1)
	}
}

// Files of this program, in the repository.
const (
	glossaryFile = ".ci/lint/words/glossary.txt"
	allowedFile  = ".ci/lint/words/allowed.txt"
)

// check prints the findings in a repository and returns their number.
func check(root string, out io.Writer) (findings int, err error) {
	glossary, err := readGlossary(filepath.Join(root, glossaryFile))
	if err != nil {
		return 0, err
	}
	allowed, err := readAllowed(filepath.Join(root, allowedFile))
	if err != nil {
		return 0, err
	}
	files, err := filesOf(root)
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return 0, err
		}
		for _, f := range glossary.find(file, string(text)) {
			if !allowed.covers(f) {
				findings++
				fmt.Fprintln(out, f)
			}
		}
	}
	for _, entry := range allowed.unused() {
		findings++
		fmt.Fprintf(out, "%s:%d: allows nothing: remove it\n", allowedFile, entry.line)
	}
	return findings, nil
}

// filesOf returns the text files that people write, in the repository or new.
func filesOf(root string) (files []string, err error) {
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	git.Dir, git.Stderr = root, os.Stderr
	names, err := git.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", root, err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, name))
		if err == nil && info.Mode().IsRegular() && !isSkipped(name) {
			files = append(files, name)
		}
	}
	return files, nil
}

// isSkipped reports whether a program writes the file, or it is not ours.
func isSkipped(name string) bool {
	base := filepath.Base(name)
	switch filepath.Ext(base) {
	case ".o", ".sum", ".svg", ".png":
		return true
	}
	return base == "go.mod" || base == "LICENSE" || strings.HasPrefix(name, ".ci/lint/words/") ||
		strings.HasSuffix(base, "_bpfel.go")
}
