//go:build linux && (amd64 || arm64)

// Package crash kills the plugin at its system calls, and makes them fail. The rules of
// a container must be in force completely or not at all, and no state may be left
// behind.
package crash

import (
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

var must = node.Must
