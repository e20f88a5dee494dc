// Package portctl tests the binary of the operator's tool, on nodes made of network namespaces
// with real containers and packets.
package portctl

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

var must = node.Must

// attach attaches a new container to the network lab.
func attach(t *testing.T, n *node.Node) *node.Container {
	t.Helper()
	c, err := n.Container()
	must(t, err)
	_, err = c.Attach("lab")
	must(t, err)
	return c
}

type object = map[string]any

// conflist builds a network of a bridge and xdp-port with these rules.
func conflist(name string, rules ...object) object {
	return object{
		"cniVersion": "1.0.0", "name": name,
		"plugins": []any{
			object{
				"type": "bridge", "bridge": "cni0", "isGateway": true,
				"ipam": object{
					"type":   "host-local",
					"ranges": []any{[]any{object{"subnet": "10.88.0.0/16"}}},
					"routes": []any{object{"dst": "0.0.0.0/0"}},
				},
			},
			object{"type": "xdp-port", "rules": append([]object{}, rules...)},
		},
	}
}

// write writes a conflist to a file that the tool can read, and returns its path.
func write(t *testing.T, list object) string {
	t.Helper()
	text, err := json.MarshalIndent(list, "", "  ")
	must(t, err)
	path := filepath.Join(t.TempDir(), "net.conflist")
	must(t, os.WriteFile(path, text, 0o600))
	return path
}

// outcome is the result of a run of the tool.
type outcome struct {
	stdout, stderr string
	code           int
}

// portctl runs the tool on a node.
func portctl(t *testing.T, n *node.Node, args ...string) outcome {
	t.Helper()
	return runTool(t, n, node.ToolCommand(t, args...))
}

func runTool(t *testing.T, n *node.Node, tool *exec.Cmd) outcome {
	t.Helper()
	stdout, stderr, code := n.RunTool(t, tool)
	out := outcome{string(stdout), string(stderr), code}
	if strings.Contains(out.stderr, "panic") || strings.Contains(out.stderr, "goroutine") {
		t.Errorf("%v panics: %s", tool.Args, out.stderr)
	}
	return out
}

// want expects the tool to exit with the code, and returns its stdout.
func (o outcome) want(t *testing.T, code int) string {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d; stdout:\n%s\nstderr:\n%s", o.code, code, o.stdout, o.stderr)
	}
	return o.stdout
}

// decode reads a JSON document of the tool.
func decode[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return value
}

// decodeList reads the list under a key of a JSON document.
func decodeList[T any](t *testing.T, text, key string) (list []T) {
	t.Helper()
	document := decode[map[string]json.RawMessage](t, text)
	if got := string(document["schemaVersion"]); got != "1" {
		t.Errorf("the schema's version is %q in:\n%s", got, text)
	}
	if err := json.Unmarshal(document[key], &list); err != nil || list == nil {
		t.Fatalf("%s: %v in:\n%s", key, err, text)
	}
	return list
}

// showJSON returns the only attachment of a container in show.
func showJSON(t *testing.T, n *node.Node, c *node.Container) inspect.Attachment {
	t.Helper()
	list := decodeList[inspect.Attachment](t, portctl(t, n, "show", c.ID(), "-o", "json").want(t, 0), "attachments")
	if len(list) != 1 {
		t.Fatalf("%d attachments, want 1: %+v", len(list), list)
	}
	return list[0]
}

func far(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(node.FarIPv4), port)
}

// send sends count datagrams to a port of the far host.
func send(t *testing.T, c *node.Container, port uint16, count int) {
	t.Helper()
	// Unconnected, so that the socket ignores ICMP errors.
	conn, err := node.ListenUDP(c.NS, 0)
	must(t, err)
	defer conn.Close()
	for range count {
		_, err := conn.WriteToUDPAddrPort([]byte("datagram"), far(port))
		must(t, err)
	}
}
