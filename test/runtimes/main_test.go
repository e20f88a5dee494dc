// Package runtimes tests the plugin with real container runtimes. Each runs on its own machine and starts
// containers of a real image.
package runtimes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

const image = "localhost/xdp-port/echo:latest"

func TestMain(m *testing.M) {
	machine.Main()
	if err := machine.Sweep(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// newMachine makes a machine for as long as the test runs.
func newMachine(t *testing.T, path ...string) *machine.Machine {
	t.Helper()
	m, err := machine.New()
	must(t, err)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	m.Path = path
	return m
}

// equip gives a machine the plugins and the network.
func equip(t *testing.T, m *machine.Machine) {
	t.Helper()
	bin := binDir(t)
	_, err := m.Run("install", "-Dt", "/opt/cni/bin", filepath.Join(bin, "xdp-port"),
		filepath.Join(bin, "cni/bridge"), filepath.Join(bin, "cni/host-local"), filepath.Join(bin, "cni/loopback"))
	must(t, err)
	must(t, m.WriteFile("/etc/cni/net.d/10-lab.conflist", conflist))
}

// conflist has the tutorial's rules and one that drops, and allows pods' own rules. Old and new runtimes read
// its first keys.
const conflist = `{
  "cniVersion": "1.0.0",
  "cniVersions": ["1.0.0", "1.1.0"],
  "name": "lab",
  "plugins": [
    { "type": "bridge", "bridge": "cni0", "isGateway": true,
      "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.88.0.0/16" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
    { "type": "xdp-port",
      "capabilities": { "io.kubernetes.cri.pod-annotations": true },
      "rules": [
        { "protocol": "udp", "port": 7999, "toPort": 7998 },
        { "protocol": "tcp", "port": 7999, "toPort": 7998 },
        { "protocol": "udp", "port": 25, "action": "drop" }
      ] }
  ]
}
`

// binDir is the folder that the Makefile builds into.
func binDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("XDP_PORT_BIN"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs("../../bin")
	must(t, err)
	return dir
}

// need skips the test if a program of another package is missing. In CI, which installs all, it fails the
// test.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("missing: %s; apt-get install containerd runc podman conmon qemu-user-static", program)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
