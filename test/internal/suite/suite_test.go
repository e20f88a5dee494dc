package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module is one of which some tests can be skipped, or fail.
var module = map[string]string{
	"go.mod": "module example.com/some\n\ngo 1.26\n",
	"fine/fine_test.go": `package fine

import ("os"; "testing")

func TestFine(t *testing.T) { t.Log("nobody wants to know") }

func TestSkipped(t *testing.T) {
	t.Run("part", func(t *testing.T) {
		if os.Getenv("SUITE_SKIPS") != "" { t.Skip("missing: frob; apt-get install frob-utils") }
	})
}
`,
	"other/other_test.go": `package other

import ("os"; "testing")

func TestOther(t *testing.T) {
	if os.Getenv("SUITE_SKIPS") != "" { t.Skip("missing: frob; apt-get install frob-utils") }
}

func TestFails(t *testing.T) {
	switch os.Getenv("SUITE_FAILS") {
	case "error": t.Error("what is wrong")
	case "panic": panic("what is wrong")
	case "exit": os.Exit(3)
	}
}
`,
}

// TestSaysWhatWasSkipped has tests of a module skipped and fail.
func TestSaysWhatWasSkipped(t *testing.T) {
	folder := t.TempDir()
	for name, text := range module {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const skipped = `(?s)\nskipped:\n  missing: frob; apt-get install frob-utils\n` +
		`      example.com/some/fine TestSkipped/part\n      example.com/some/other TestOther\n\n`
	for _, test := range []struct {
		skips, fails string
		code         int
		want         []string
	}{
		{"", "", exitFine, []string{`(?m)^ok .*some/fine`, `\ncomplete, as far as this kernel goes: 5 passed, 0 failed, 0 skipped\n$`}},
		{"1", "", exitIncomplete, []string{skipped + `NOT COMPLETE: 3 passed, 0 failed, 2 skipped; [^\n]*\n$`}},
		{"1", "error", exitFailed, []string{`(?m)^--- FAIL: TestFails.*\n    other_test.go:11: what is wrong$`, skipped + `FAILED: 2 passed, 1 failed, 2 skipped\n$`}},
		{"", "panic", exitFailed, []string{`panic: what is wrong`, `\nFAILED: [^\n]*\n$`}},
		{"", "exit", exitFailed, []string{`(?m)^FAIL.*some/other`, `\nFAILED: [^\n]*\n$`}},
	} {
		t.Setenv("SUITE_SKIPS", test.skips)
		t.Setenv("SUITE_FAILS", test.fails)
		var out, errs bytes.Buffer
		if code := run([]string{folder, "--", "-count=1", "./..."}, &out, &errs); code != test.code {
			t.Errorf("it exits with %d, want %d", code, test.code)
		}
		for _, want := range test.want {
			if !regexp.MustCompile(want).Match(out.Bytes()) {
				t.Errorf("%+v: no %s in\n%s%s", test, want, out.Bytes(), errs.Bytes())
			}
		}
		if text := out.String(); strings.Contains(text, "nobody wants to know") || strings.Contains(text, "=== ") {
			t.Errorf("it says more than go test:\n%s", text)
		}
	}
}

// TestDoesNotBuild wants a package that does not build to fail the run.
func TestDoesNotBuild(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"go.mod": module["go.mod"], "a_test.go": "package a\n\nvar x int = nothing\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	if code := run([]string{folder, "--", "./..."}, &out, &errs); code != exitFailed || !strings.Contains(out.String(), "undefined: nothing") {
		t.Errorf("exit code %d:\n%s%s", code, out.Bytes(), errs.Bytes())
	}
}
