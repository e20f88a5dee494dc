package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository makes one with a glossary and a few files.
func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files[glossaryFile] = "# comment\nheed(s|ed)? => enable\nnear place => fast path\n"
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", root, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return root
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		allowed string
		files   map[string]string
		want    []string
	}{
		"prose":      {"", map[string]string{"README.md": "Fine.\nWe Heed it.\n"}, []string{`README.md:2:4: "Heed": use enable`}},
		"camel case": {"", map[string]string{"a.go": "func isHeeded() {}\n"}, []string{`a.go:1:8: "Heeded": use enable`}},
		"acronym":    {"", map[string]string{"a.go": "XDPHeed IDs\n"}, []string{`a.go:1:4: "Heed": use enable`}},
		"snake case": {"", map[string]string{"a.c": "int near_place1;\n"}, []string{`a.c:1:5: "near_place": use fast path`}},
		"two words":  {"", map[string]string{"a.go": "nearPlace near a place\n"}, []string{`a.go:1:1: "nearPlace": use fast path`}},
		"other word": {"", map[string]string{"a.go": "heedless unheeding shneed\n"}, nil},
		"generated":  {"", map[string]string{"a_bpfel.go": "heed\n", "a.o": "heed\n", "LICENSE": "heed\n"}, nil},
		"allowed": {
			"*.md: take heed: an idiom\n",
			map[string]string{"a.md": "take heed, heed\n", "a.go": "take heed\n"},
			[]string{`a.md:1:12: "heed": use enable`, `a.go:1:6: "heed": use enable`},
		},
		"folder":   {"docs/: heed: old\n", map[string]string{"docs/a/b.md": "heed\n"}, nil},
		"unneeded": {"*: take heed: an idiom\n", map[string]string{"a.md": "\n"}, []string{allowedFile + ":1: allows nothing: remove it"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.files[allowedFile] = test.allowed
			var out bytes.Buffer
			findings, err := check(repository(t, test.files), &out)
			if err != nil {
				t.Fatal(err)
			}
			if findings != len(test.want) {
				t.Errorf("%d findings, want %d:\n%s", findings, len(test.want), &out)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want+"\n") {
					t.Errorf("no %s in\n%s", want, &out)
				}
			}
		})
	}
}

// TestBadLists wants an error with the place for lists that cannot be read.
func TestBadLists(t *testing.T) {
	for name, test := range map[string]struct{ file, text, want string }{
		"glossary": {glossaryFile, "heed\n", "glossary.txt:1: want REGEXP => REPLACEMENT"},
		"regexp":   {glossaryFile, "\n( => x\n", "glossary.txt:2: error parsing regexp"},
		"allowed":  {allowedFile, "# c\na.go: heed\n", "allowed.txt:2: want FILES: REGEXP: REASON"},
		"pattern":  {allowedFile, "[: heed: reason\n", "allowed.txt:1: [: syntax error in pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			root := repository(t, map[string]string{allowedFile: ""})
			if err := os.WriteFile(filepath.Join(root, test.file), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := check(root, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}
