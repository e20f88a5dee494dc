// Package kubernetes tests xdp-port on a real cluster: etcd, the control plane, and two nodes with kubelet
// and containerd, each on its own machine made of namespaces. It installs xdp-port with the manifest, as
// users do.
package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

func TestMain(m *testing.M) {
	machine.Main()
	if err := machine.Sweep(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// binDir is the folder that the Makefile builds into.
func binDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("XDP_PORT_BIN")
	if dir == "" {
		dir = "../../bin"
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// deploy is the folder with the manifest.
func deploy(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../deploy/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
