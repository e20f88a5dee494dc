package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lines of a suite's output next to the tests' own. The name of a package follows, and the tests to run
// or, at its end, the exit code.
const (
	beginMark = "#### begin "
	endMark   = "#### end "
	doneMark  = "#### done"
)

// suitePatience limits the tests of one package. The next package runs in any case.
const suitePatience = 30 * time.Minute

// suite is the tests for one kind of processor.
type suite struct {
	script   string
	programs string   // the folder with the plugins
	shared   []string // folders that the script needs, besides the system's programs
}

// buildSuite builds the tests and a script that runs them package by package, each in its folder. An
// argument is a package, or PACKAGE=REGEXP with a regular expression of go test -run. Tests run one by
// one, because on a slow machine parallel operations would time out while they wait for the lock.
func buildSuite(arch, folder string, arguments []string) (*suite, error) {
	module, err := output("go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	s := &suite{
		script:   filepath.Join(folder, "tests.sh"),
		programs: os.Getenv("XDP_PORT_BIN"),
		shared:   []string{strings.TrimSpace(module), folder},
	}
	if arch != runtime.GOARCH {
		s.programs = folder
		if err := command("make", "-s", "GOARCH="+arch, "BIN="+folder, "build", "reference"); err != nil {
			return nil, err
		}
	}
	var text strings.Builder
	for _, want := range arguments {
		part, err := buildTests(arch, folder, want)
		if err != nil {
			return nil, fmt.Errorf("build the tests: %w", err)
		}
		text.WriteString(part)
	}
	fmt.Fprintf(&text, "echo '%s'\n", doneMark)
	return s, os.WriteFile(s.script, []byte(text.String()), 0o644)
}

// buildTests builds the tests of a package and returns the part of the script that runs them.
func buildTests(arch, folder, want string) (script string, err error) {
	path, which, _ := strings.Cut(want, "=")
	name := filepath.Base(path)
	binary := filepath.Join(folder, "tests", name+".test")
	build := exec.Command("go", "test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", binary, path)
	build.Env = append(os.Environ(), "GOARCH="+arch)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", err
	}
	dir, err := output("go", "list", "-f", "{{.Dir}}", path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("cd %s\necho '%s%s %s'\n", strings.TrimSpace(dir), beginMark, name, want) +
		fmt.Sprintf("%s -test.v=test2json -test.parallel=1 -test.timeout=%v -test.run '%s' 2>&1\n", binary, suitePatience, which) +
		fmt.Sprintf("echo; echo '%s%s' $?\n", endMark, name), nil
}

// thisMachine is the running kernel.
type thisMachine struct{}

func (thisMachine) identity() identity { return identity{running, runningRelease(), runtime.GOARCH} }

// run runs the tests. Interrupted tests clean up.
func (thisMachine) run(ctx context.Context, s *suite, w io.Writer) error {
	shell := exec.CommandContext(ctx, "sh", s.script)
	shell.Stdout, shell.Stderr = w, w
	shell.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return unix.Kill(-shell.Process.Pid, unix.SIGTERM) }
	return shell.Run()
}
