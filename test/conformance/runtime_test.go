package conformance

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

// newRuntime makes a libcni that works on a node as in a container runtime. Its cache is in a
// folder of the node.
func newRuntime(t *testing.T, n *node.Node, cache string) *libcni.CNIConfig {
	t.Helper()
	bin, err := node.BinDir()
	must(t, err)
	path := []string{bin, filepath.Join(bin, "cni")}
	return libcni.NewCNIConfigWithCacheDir(path, filepath.Join(n.Dir, cache), &onNode{t: t, node: n})
}

// onNode runs plugins on the node. It checks xdp-port's answers like those of other calls.
type onNode struct {
	version.PluginDecoder
	t    *testing.T
	node *node.Node
}

func (e *onNode) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}

func (e *onNode) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) (stdout []byte, err error) {
	if filepath.Base(path) == "xdp-port" {
		return e.callOwn(stdin, environ)
	}
	entered := e.node.NS.Do(func(ns.NetNS) error {
		stdout, err = (&invoke.RawExec{}).ExecPlugin(ctx, path, stdin, environ)
		return nil
	})
	if entered != nil {
		return nil, entered
	}
	return stdout, err
}

func (e *onNode) callOwn(stdin []byte, environ []string) ([]byte, error) {
	vars := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	answer := run(e.t, e.node, node.Call{
		Operation: vars["CNI_COMMAND"], ContainerID: vars["CNI_CONTAINERID"], NetNS: vars["CNI_NETNS"],
		IfName: vars["CNI_IFNAME"], Args: vars["CNI_ARGS"], Stdin: stdin,
	})
	if answer.Refusal != nil {
		return nil, answer.Refusal
	}
	return answer.Stdout, nil
}

// interfaceOf is a runtime's data about a container's interface.
func interfaceOf(c *node.Container, id string) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: id, NetNS: c.NS.Path(), IfName: c.IfName,
		Args: [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "web-0"}},
	}
}

// chain is a configuration list.
func chain(version, name string, plugins ...any) map[string]any {
	return map[string]any{"cniVersion": version, "name": name, "plugins": plugins}
}

// parsed is a configuration list of libcni.
func parsed(t *testing.T, list map[string]any) *libcni.NetworkConfigList {
	t.Helper()
	text, err := json.Marshal(list)
	must(t, err)
	conf, err := libcni.NetworkConfFromBytes(text)
	must(t, err)
	return conf
}

// single is libcni's configuration of one plugin.
func single(t *testing.T, c config) *libcni.PluginConfig {
	t.Helper()
	conf, err := libcni.NetworkPluginConfFromBytes(c.bytes(t))
	must(t, err)
	return conf
}

// bridge is a main plugin that keeps its addresses in the node's folder.
func bridge(n *node.Node) map[string]any {
	return map[string]any{
		"type": "bridge", "bridge": "cni0", "isGateway": true,
		"ipam": map[string]any{
			"type": "host-local", "dataDir": filepath.Join(n.Dir, "ipam"),
			"ranges": []any{[]any{map[string]any{"subnet": "10.88.0.0/16"}}},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
		},
	}
}

// own is the plugin's entry in a list.
func own() map[string]any {
	return map[string]any{"type": "xdp-port", "rules": lab()["rules"]}
}
