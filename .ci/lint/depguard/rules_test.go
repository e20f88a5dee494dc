// Package depguard checks that the rules of depguard in .golangci.yml are complete.
package depguard

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// folder matches the folder of a rule's files.
var folder = regexp.MustCompile(`files: \["\*\*/([^"*]+)/\*\.go"`)

// TestEachPackageHasARule expects a rule for each package of the product, and no rule for
// a package that does not exist.
func TestEachPackageHasARule(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var ruled []string
	for _, match := range folder.FindAllStringSubmatch(string(text), -1) {
		ruled = append(ruled, match[1])
	}
	packages := packages(t)
	for _, name := range packages {
		if !slices.Contains(ruled, name) {
			t.Errorf("%s has no rule of depguard in .golangci.yml: add one with its imports", name)
		}
	}
	for _, name := range ruled {
		if !slices.Contains(packages, name) {
			t.Errorf(".golangci.yml has a rule of depguard for %s, which does not exist: remove it", name)
		}
	}
}

// packages returns the folders of the product's packages. Those below pkg/internal help
// tests only.
func packages(t *testing.T) (folders []string) {
	t.Helper()
	for _, pattern := range []string{"pkg/*/*.go", "plugin/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") && !slices.Contains(folders, name) {
				folders = append(folders, name)
			}
		}
	}
	if len(folders) == 0 {
		t.Fatal("found no packages")
	}
	return folders
}
