package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module is a module with tests that skip or fail on request.
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

func writeModule(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSaysWhatWasSkipped runs a module with skipped and failing tests.
func TestSaysWhatWasSkipped(t *testing.T) {
	folder := t.TempDir()
	writeModule(t, folder, module)
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

// TestAlone expects packages that match to run after all others.
func TestAlone(t *testing.T) {
	folder := t.TempDir()
	writeModule(t, folder, module)
	var out, errs bytes.Buffer
	if code := run([]string{"-alone", "/fine$", folder, "--", "-count=1", "./..."}, &out, &errs); code != exitFine {
		t.Errorf("it exits with %d: %s", code, errs.Bytes())
	}
	if !regexp.MustCompile(`(?s)^ok [^\n]*/other\t.*\nok [^\n]*/fine\t.*5 passed`).Match(out.Bytes()) {
		t.Errorf("fine is not last:\n%s%s", out.Bytes(), errs.Bytes())
	}
}

// TestDoesNotBuild expects a run to fail if a package does not build.
func TestDoesNotBuild(t *testing.T) {
	folder := t.TempDir()
	writeModule(t, folder, map[string]string{"go.mod": module["go.mod"], "a_test.go": "package a\n\nvar x int = nothing\n"})
	var out, errs bytes.Buffer
	if code := run([]string{folder, "--", "./..."}, &out, &errs); code != exitFailed || !strings.Contains(out.String(), "undefined: nothing") {
		t.Errorf("exit code %d:\n%s%s", code, out.Bytes(), errs.Bytes())
	}
}
