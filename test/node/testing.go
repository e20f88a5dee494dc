package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/pace"
)

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ForTest makes a node and closes it when the test ends.
func ForTest(t testing.TB) *Node {
	t.Helper()
	n, err := New()
	Must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Namespace makes a network namespace with nothing in it, which can be removed before
// the test ends.
func Namespace(t testing.TB) (namespace ns.NetNS, remove func()) {
	t.Helper()
	namespace, err := newNamespace("alone")
	Must(t, err)
	var once sync.Once
	remove = func() {
		once.Do(func() { Must(t, removeNamespace(namespace)) })
	}
	t.Cleanup(remove)
	return namespace, remove
}

// ToolCommand returns a command that runs the operator's tool.
func ToolCommand(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := BinDir()
	Must(t, err)
	return exec.Command(filepath.Join(bin, "xdp-portctl"), args...)
}

// RunTool runs a command of the operator's tool on the node, and returns its output and
// exit code.
func (n *Node) RunTool(t testing.TB, tool *exec.Cmd) (stdout, stderr []byte, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	tool.Stdout, tool.Stderr = &out, &errs
	err := Run(n.NS, tool, pace.Patience(3*time.Minute))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.Bytes(), errs.Bytes(), tool.ProcessState.ExitCode()
}

// ConflistOf writes a conflist around an entry of the plugin, as a file that the
// operator's tool reads, and returns the path.
func ConflistOf(t testing.TB, entry map[string]any) string {
	t.Helper()
	plugin := map[string]any{}
	for _, key := range []string{"type", "mode", "tcHook", "rules"} {
		plugin[key] = entry[key]
	}
	text, err := json.Marshal(map[string]any{
		"cniVersion": "1.1.0", "name": entry["name"],
		"plugins": []any{map[string]any{"type": "ptp"}, plugin},
	})
	Must(t, err)
	path := filepath.Join(t.TempDir(), "network.conflist")
	Must(t, os.WriteFile(path, text, 0o600))
	return path
}
