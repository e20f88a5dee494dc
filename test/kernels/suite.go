package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Lines of a suite's output, beside the tests' own; a package and, at its end,
// the exit status follow.
const (
	beginMark = "#### begin "
	endMark   = "#### end "
	doneMark  = "#### done"
)

// build builds the tests of the packages, and a script that runs them one after
// the other, each in the folder of its package: they share the kernel.
func build(out string, packages []string) (script string, err error) {
	tests := filepath.Join(out, "tests") + "/"
	if err := command("go", append([]string{
		"test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", tests,
	}, packages...)...); err != nil {
		return "", fmt.Errorf("build the tests: %w", err)
	}
	list, err := output("go", append([]string{"list", "-f", "{{.ImportPath}} {{.Dir}}"}, packages...)...)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for line := range strings.Lines(list) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := filepath.Base(path)
		fmt.Fprintf(&text, "cd %s\necho '%s%s'\n", dir, beginMark, name)
		fmt.Fprintf(&text, "%s%s.test -test.v=test2json -test.timeout=15m 2>&1\n", tests, name)
		fmt.Fprintf(&text, "echo; echo '%s%s' $?\n", endMark, name)
	}
	fmt.Fprintf(&text, "echo '%s'\n", doneMark)
	script = filepath.Join(out, "tests.sh")
	return script, os.WriteFile(script, []byte(text.String()), 0o644)
}

// runHere runs the script on the running kernel.
func runHere(script string, w io.Writer) error {
	shell := exec.Command("sh", script)
	shell.Stdout, shell.Stderr = w, w
	return shell.Run()
}
