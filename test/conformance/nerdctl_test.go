package conformance

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// process is a container as nerdctl sees it. The only name of its namespace is the
// process, and the namespace ends with it.
type process struct{ cmd *exec.Cmd }

func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{exec.Command("sleep", "1000")}
	p.cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	must(t, p.cmd.Start())
	t.Cleanup(p.kill)
	return p
}

func (p *process) path() string { return fmt.Sprintf("/proc/%d/ns/net", p.cmd.Process.Pid) }

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// nerdctl calls plugins as nerdctl's hooks do, for a container on several networks.
type nerdctl struct {
	t       *testing.T
	runtime *libcni.CNIConfig
	lists   []*libcni.NetworkConfigList
}

const nerdctlID = "default-5d8f3c0b7a"

func (h *nerdctl) conf(i int, netns string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: nerdctlID, NetNS: netns, IfName: fmt.Sprintf("eth%d", i),
		Args: [][2]string{{"IgnoreUnknown", "1"}, {"NERDCTL_CNI_DHCP_HOSTNAME", "web"}},
	}
}

// createRuntime first runs DEL without a namespace, whatever the state is, and then ADD of
// all networks at once.
func (h *nerdctl) createRuntime(netns string) {
	h.t.Helper()
	h.remove()
	errs := make([]error, len(h.lists))
	var adding sync.WaitGroup
	for i, list := range h.lists {
		adding.Go(func() { _, errs[i] = h.runtime.AddNetworkList(context.Background(), list, h.conf(i, netns)) })
	}
	adding.Wait()
	for _, err := range errs {
		must(h.t, err)
	}
}

// remove is also the hook postStop.
func (h *nerdctl) remove() {
	h.t.Helper()
	for i, list := range h.lists {
		must(h.t, h.runtime.DelNetworkList(context.Background(), list, h.conf(i, "")))
	}
}

// TestNerdctl starts a container, ends it without a hook as a restart of containerd does,
// starts it again and stops it.
func TestNerdctl(t *testing.T) {
	n := node.ForTest(t)
	serveFar(t, n)
	second := bridge(n)
	second["bridge"] = "cni1"
	second["ipam"].(map[string]any)["ranges"] = []any{[]any{map[string]any{"subnet": "10.89.0.0/16"}}}
	delete(second["ipam"].(map[string]any), "routes")
	h := &nerdctl{t, newRuntime(t, n, "cache"), []*libcni.NetworkConfigList{
		parsed(t, chain("1.1.0", "lab", bridge(n), own())),
		parsed(t, chain("1.1.0", "lab-2", second, own())),
	}}
	for range 2 {
		p := newProcess(t)
		h.createRuntime(p.path())
		wantAttached(t, nerdctlID, 2)
		wantTraffic(t, p)
		p.kill()
	}
	h.remove()
	wantNothingOf(t, nerdctlID)
}

func wantTraffic(t *testing.T, p *process) {
	t.Helper()
	inside, err := ns.GetNS(p.path())
	must(t, err)
	defer inside.Close()
	must(t, node.ExchangeUDP(inside, farPort, node.Sizes(10, 0, 1000)))
}
