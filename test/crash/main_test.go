//go:build linux && (amd64 || arm64)

// Package crash kills the plugin at its system calls, and has them fail: the
// rules of a container must be in force wholly or not at all, and nothing may be
// left behind.
package crash

import (
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m, node.Alone)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newNode makes a node that the test removes.
func newNode(t testing.TB) *node.Node {
	t.Helper()
	n, err := node.New()
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}
