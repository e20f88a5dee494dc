// Package lifecycle starts, changes and stops containers in every order, and their
// devices too. A running container must have its own rules, and a container that has
// gone must leave no state. The tests look at traffic and at the output of the tools.
package lifecycle

import (
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

var must = node.Must
