// Package conformance tests each operation of the plugin against the CNI specification:
// with the plugin itself, with libcni and with cnitool, on nodes made of network
// namespaces.
package conformance

import (
	"fmt"
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

var must = node.Must

func newContainer(t *testing.T, n *node.Node) *node.Container {
	t.Helper()
	c, err := n.Container()
	must(t, err)
	return c
}

// uniqueName returns the name of a network that no other process uses. cnitool has one
// cache for the whole machine.
func uniqueName(prefix string) string { return fmt.Sprintf("%s-%d", prefix, os.Getpid()) }
