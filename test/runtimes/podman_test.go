package runtimes

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// podmanConfig works without what a host may lack: systemd, AppArmor, and CAP_SYS_RESOURCE for higher limits.
const podmanConfig = `[containers]
default_ulimits = []
apparmor_profile = "unconfined"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`

const podmanNetwork = `[network]
network_backend = "cni"
`

// podman is a runtime without a daemon.
type podman struct{ m *machine.Machine }

func TestPodman(t *testing.T) {
	m := newPodmanMachine(t)
	equip(t, m)
	must(t, m.WriteFile("/etc/containers/containers.conf.d/50-cni.conf", podmanNetwork))
	_, err := m.Run("podman", "load", "-i", filepath.Join(binDir(t), "echo.tar"))
	must(t, err)
	testRuntime(t, m, podman{m})
}

func newPodmanMachine(t *testing.T) *machine.Machine {
	t.Helper()
	need(t, "podman", "conmon", "runc")
	m := newMachine(t)
	must(t, m.WriteFile("/etc/containers/containers.conf.d/10-host.conf", podmanConfig))
	return m
}

func (p podman) run(name string) error {
	_, err := p.m.Run(append([]string{"podman", "run", "-d", "--network", "lab", "--name", name, image}, serve[1:]...)...)
	return err
}

func (p podman) cycle(name, server string) error {
	return wantPrinted(p.m.Run("podman", "run", "--rm", "--network", "lab", "--name", name, image, "ask", "udp", server+":7999"))
}

func (p podman) exec(name string, command ...string) (string, error) {
	return p.m.Run(append([]string{"podman", "exec", name}, command...)...)
}

func (p podman) pids(name string) ([]string, error) {
	printed, err := p.m.Run("podman", "inspect", "-f", "{{.State.Pid}}", name)
	return strings.Fields(printed), err
}

func (p podman) remove(name string) error {
	_, err := p.m.Run("podman", "rm", "-f", "-t", "0", name)
	return err
}

// restart restarts the containers, because there is no daemon.
func (p podman) restart() error {
	_, err := p.m.Run("podman", "restart", "-t", "0", "--all")
	return err
}
