package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lines of a suite's output, beside the tests' own; a package and, at its end,
// the exit status follow.
const (
	beginMark = "#### begin "
	endMark   = "#### end "
	doneMark  = "#### done"
)

// suitePatience bounds the tests of one package; those of the next one run all
// the same.
const suitePatience = 30 * time.Minute

// build builds the tests, and a script that runs those of one package after the
// other, each in the folder of its package: they share the kernel. What is to be
// run is named by a package, or by a package, "=", and a regular expression of
// go test -run. Tests go one by one: on a slow machine verbs that run side by
// side would wait for each other's lock until they give up.
func build(out string, wanted []string) (script string, err error) {
	var text strings.Builder
	for _, want := range wanted {
		path, which, _ := strings.Cut(want, "=")
		name := filepath.Base(path)
		binary := filepath.Join(out, "tests", name+".test")
		if err := command("go", "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", binary, path); err != nil {
			return "", fmt.Errorf("build the tests: %w", err)
		}
		dir, err := output("go", "list", "-f", "{{.Dir}}", path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "cd %s\necho '%s%s'\n", strings.TrimSpace(dir), beginMark, name)
		fmt.Fprintf(&text, "%s -test.v=test2json -test.parallel=1 -test.timeout=%v -test.run '%s' 2>&1\n", binary, suitePatience, which)
		fmt.Fprintf(&text, "echo; echo '%s%s' $?\n", endMark, name)
	}
	fmt.Fprintf(&text, "echo '%s'\n", doneMark)
	script = filepath.Join(out, "tests.sh")
	return script, os.WriteFile(script, []byte(text.String()), 0o644)
}

// thisMachine has the running kernel.
type thisMachine struct{}

func (thisMachine) title() string { return "Linux " + runningRelease() + ", here" }

// run runs the script. Tests that are interrupted clean up.
func (thisMachine) run(ctx context.Context, script string, w io.Writer) error {
	shell := exec.CommandContext(ctx, "sh", script)
	shell.Stdout, shell.Stderr = w, w
	shell.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return unix.Kill(-shell.Process.Pid, unix.SIGTERM) }
	return shell.Run()
}
