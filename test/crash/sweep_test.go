package crash

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestSweepEmptyFolders leaves empty folders in a removed ruleset, as the kernel does if
// it cannot remove them. The next change removes them.
func TestSweepEmptyFolders(t *testing.T) {
	w := newWorld(t, newStage(t))
	removed := filepath.Join(node.StateFolder, "tmp", "1-1")
	must(t, os.MkdirAll(filepath.Join(removed, "claims"), 0o700))
	must(t, os.MkdirAll(filepath.Join(removed, "attachments", "lab", "container"), 0o700))
	config := first(node.TCHook(t), "auto").config
	w.must(t, "ADD", config)
	w.must(t, "DEL", config)
	if _, err := os.Stat(node.StateFolder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("state is left: %v, %v", node.State(), err)
	}
}
