package lifecycle

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestVersionNamesRulesets compares builds with and without tracing. Their rulesets
// differ, so --version must differ too.
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
