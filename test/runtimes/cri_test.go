package runtimes

import (
	"strconv"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/machine"
	"github.com/xdp-port/xdp-port/test/runtimes/internal/cri"
)

// pods are a runtime as the kubelet uses it.
type pods struct {
	*containerd
	client *cri.Client
}

func TestCRI1(t *testing.T) { testPods(t, containerd1) }

func TestCRI2(t *testing.T) {
	p := testPods(t, containerd2)
	t.Run("status", func(t *testing.T) { testStatus(t, p) })
}

func testPods(t *testing.T, e edition) pods {
	p := startPods(t, e)
	testRuntime(t, p.m, p)
	t.Run("annotations", func(t *testing.T) { testAnnotations(t, p) })
	return p
}

func startPods(t *testing.T, e edition) pods {
	t.Helper()
	c := startContainerd(t, e)
	equip(t, c.m)
	return pods{c, dial(t, c.m)}
}

// dial waits until the runtime has found its network.
func dial(t *testing.T, m *machine.Machine) *cri.Client {
	t.Helper()
	client, err := cri.Dial(m.File("/"))
	must(t, err)
	t.Cleanup(func() { client.Close() })
	must(t, eventually(client.Network))
	return client
}

func (p pods) run(name string) error { return p.runAnnotated(name, "") }

// runAnnotated runs a pod with its own rules, if there are any.
func (p pods) runAnnotated(name, rules string) error {
	pod := cri.Pod{Name: name, Image: image, Command: serve}
	if rules != "" {
		pod.Annotations = map[string]string{"xdp-port/rules": rules}
	}
	return p.client.Run(pod)
}

// cycle runs sandboxes only, because they have the network.
func (p pods) cycle(name, _ string) error {
	if err := p.client.Run(cri.Pod{Name: name}); err != nil {
		return err
	}
	return p.client.Remove(name)
}

func (p pods) exec(name string, command ...string) (string, error) {
	return p.client.Exec(name, command...)
}

func (p pods) pids(name string) (texts []string, err error) {
	pids, err := p.client.PIDs(name)
	for _, pid := range pids {
		texts = append(texts, strconv.Itoa(pid))
	}
	return texts, err
}

func (p pods) remove(name string) error { return p.client.Remove(name) }

func (p pods) restart() error {
	if err := p.containerd.restart(); err != nil {
		return err
	}
	return eventually(p.client.Network)
}

// testAnnotations runs pods with their own rules next to one without.
func testAnnotations(t *testing.T, p pods) {
	must(t, p.run("server"))
	server := address(t, p, "server")
	must(t, p.run("plain"))
	must(t, p.runAnnotated("own", `[{"protocol": "udp", "port": 6998, "toPort": 7998}]`))
	must(t, p.runAnnotated("rebel", `[
		{"protocol": "udp", "port": 25, "action": "pass"},
		{"protocol": "udp", "port": 25, "toPort": 7998},
		{"protocol": "udp", "port": 7999, "action": "pass"}
	]`))
	wantRewritten(t, p, "plain", server)
	wantAnswer(t, p, "own", "udp", server+":7999", "7998")
	wantAnswer(t, p, "own", "udp", server+":6998", "7998")
	wantAnswer(t, p, "rebel", "udp", server+":7999", "7998")
	wantSilence(t, p, "rebel", "udp", server+":25")
	wantAnswer(t, p, "rebel", "tcp", server+":25", "25")

	wantRefused(t, p, `[{"protocol": "udp", "port": 6998, "toPort": 70000}]`,
		"annotation xdp-port/rules", "rules[0].toPort", "70000 is not a port (1-65535)")
	wantRefused(t, p, `[{"protocol": "udp"`, "annotation xdp-port/rules", "unexpected end of JSON input")
	wantRewritten(t, p, "plain", server)

	for _, name := range []string{"plain", "own", "rebel", "server"} {
		must(t, p.remove(name))
	}
	wantNothing(t, p.m, nil)
}

// wantRefused expects a pod with these rules to fail with these words, and to leave no state.
func wantRefused(t *testing.T, p pods, rules string, words ...string) {
	t.Helper()
	before := len(attachments(p.m))
	err := p.runAnnotated("malformed", rules)
	if err == nil {
		t.Errorf("a pod runs with the rules %s", rules)
		must(t, p.remove("malformed"))
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the rules %s: %q is not in the error: %v", rules, word, err)
		}
	}
	wantAttachments(t, p.m, before)
}

// testStatus removes what the plugin needs from the node, and restores it.
func testStatus(t *testing.T, p pods) {
	_, err := p.m.Run("mount", "-o", "remount,bind,ro", "/sys/fs/bpf")
	must(t, err)
	err = p.client.Network()
	for _, words := range []string{"xdp-port cannot serve ADD", "read-only file system"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("the network's condition: %v, want %q", err, words)
		}
	}
	_, err = p.m.Run("mount", "-o", "remount,bind,rw", "/sys/fs/bpf")
	must(t, err)
	must(t, p.client.Network())
}
