package conformance

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/test/node"
)

// crio calls plugins as CRI-O does.
type crio struct {
	t       *testing.T
	runtime *libcni.CNIConfig
	list    *libcni.NetworkConfigList
}

// pod is CRI-O's data about a pod. The pod's own rule rewrites port 6999.
func pod(c *node.Container, id string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: id, NetNS: c.NS.Path(), IfName: "eth0",
		Args: [][2]string{
			{"IgnoreUnknown", "1"},
			{"K8S_POD_NAMESPACE", "default"},
			{"K8S_POD_NAME", id},
			{"K8S_POD_INFRA_CONTAINER_ID", id},
			{"K8S_POD_UID", "5f1c5a0e-0000-4000-8000-000000000000"},
		},
		CapabilityArgs: map[string]any{
			"io.kubernetes.cri.pod-annotations": map[string]string{
				"app":            "web",
				"xdp-port/rules": `[{"protocol": "udp", "port": 6999, "toPort": 7998}]`,
			},
		},
	}
}

// cached returns what libcni has cached at ADD, which CRI-O uses afterwards.
func (h *crio) cached(conf *libcni.RuntimeConf) (*libcni.NetworkConfigList, *libcni.RuntimeConf) {
	h.t.Helper()
	text, conf, err := h.runtime.GetNetworkListCachedConfig(h.list, conf)
	must(h.t, err)
	list, err := libcni.NetworkConfFromBytes(text)
	must(h.t, err)
	return list, conf
}

// setUp runs ADD, then CHECK.
func (h *crio) setUp(conf *libcni.RuntimeConf) {
	h.t.Helper()
	_, err := h.runtime.AddNetworkList(context.Background(), h.list, conf)
	must(h.t, err)
	list, conf := h.cached(conf)
	must(h.t, h.runtime.CheckNetworkList(context.Background(), list, conf))
}

// tearDown runs DEL with the cached data, which DEL removes. The kubelet repeats it until
// everything is gone.
func (h *crio) tearDown(conf *libcni.RuntimeConf) {
	h.t.Helper()
	list, known := h.cached(conf)
	must(h.t, h.runtime.DelNetworkList(context.Background(), list, known))
	must(h.t, h.runtime.DelNetworkList(context.Background(), h.list, conf))
}

// start runs STATUS, and GC with the pods that still exist.
func (h *crio) start(valid ...types.GCAttachment) {
	h.t.Helper()
	must(h.t, h.runtime.GetStatusNetworkList(context.Background(), h.list))
	must(h.t, h.runtime.GCNetworkList(context.Background(), h.list, &libcni.GCArgs{ValidAttachments: valid}))
}

// TestCRIO starts and stops a pod, and restarts CRI-O after some pods have gone in its
// absence.
func TestCRIO(t *testing.T) {
	n := node.ForTest(t)
	serveFar(t, n)
	list := parsed(t, chain("1.1.0", "lab", bridge(n), annotated()))
	h := &crio{t, newRuntime(t, n, "cache"), list}
	forgetful := &crio{t, newRuntime(t, n, "without-cache"), list}
	h.start()

	kept, known, unknown := newContainer(t, n), newContainer(t, n), newContainer(t, n)
	h.setUp(pod(kept, "kept"))
	wantOwnRule(t, kept)
	h.setUp(pod(known, "known"))
	forgetful.setUp(pod(unknown, "unknown"))
	for _, id := range []string{"kept", "known", "unknown"} {
		wantAttached(t, id, 1)
	}

	h.start(types.GCAttachment{ContainerID: "kept", IfName: "eth0"})
	wantNothingOf(t, "known")
	wantNothingOf(t, "unknown")
	wantOwnRule(t, kept)

	h.tearDown(pod(kept, "kept"))
	wantNothingOf(t, "kept")
}

// annotated is an entry of the plugin that accepts rules of pods.
func annotated() map[string]any {
	entry := own()
	entry["capabilities"] = map[string]any{"io.kubernetes.cri.pod-annotations": true}
	return entry
}

// wantOwnRule expects the rules of the network and of the pod to work.
func wantOwnRule(t *testing.T, c *node.Container) {
	t.Helper()
	must(t, node.ExchangeUDP(c.NS, farPort, node.Sizes(10, 0, 1000)))
	own := netip.AddrPortFrom(farPort.Addr(), 6999)
	must(t, node.ExchangeUDP(c.NS, own, node.Sizes(10, 0, 1000)))
}

// wantAttached expects count attachments of a container.
func wantAttached(t *testing.T, id string, count int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(node.StateFolder, "rulesets", "*", "attachments", "*", id, "*"))
	must(t, err)
	if len(found) != count {
		t.Errorf("%d attachments, want %d: %v", len(found), count, found)
	}
}
