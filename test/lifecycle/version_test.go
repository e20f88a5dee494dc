package lifecycle

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestVersionNamesRulesets has two builds with the same programs, one of which is
// without tracing: their rulesets differ, and so does what --version says.
func TestVersionNamesRulesets(t *testing.T) {
	bin, err := node.BinDir()
	must(t, err)
	programs := regexp.MustCompile(`programs [0-9a-f]{12}`)
	said := map[string]bool{}
	for _, name := range []string{"xdp-port", "xdp-port-without-tracing"} {
		text, err := exec.Command(filepath.Join(bin, name), "--version").Output()
		must(t, err)
		said[programs.FindString(string(text))] = true
	}
	if len(said) != 2 || said[""] {
		t.Errorf("the builds call their programs %v", said)
	}
}
