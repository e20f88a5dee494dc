// Package lifecycle has containers come, go and change in every way, and their
// devices too: a running container is under its rules and no others, and of one
// that is gone nothing stays. Traffic decides that, and what the tools say.
package lifecycle

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
