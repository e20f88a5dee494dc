package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// cluster is a control plane and two nodes, each on its own machine.
type cluster struct {
	*testing.T
	bin, folder string
	control     *machine.Machine
	nodes       []*node
	manifests   int
}

const nodeCount = 2

// newCluster makes a cluster for as long as the test runs.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{T: t, bin: binDir(t), folder: t.TempDir()}
	c.control = c.newMachine("kubernetes")
	a, err := newAuthority(c.folder)
	c.must(err)
	c.must(c.writeKeys(a))
	c.must(wireControl(c.control))
	c.startControl()
	for number := 1; number <= nodeCount; number++ {
		c.nodes = append(c.nodes, c.newNode(number))
	}
	c.eventually("the nodes are Ready", func() error {
		for _, n := range c.nodes {
			if status, message := n.ready(); status != "True" {
				return fmt.Errorf("%s: Ready is %q: %s", n.name, status, message)
			}
		}
		return nil
	})
	c.eventually("pods have a service account", func() error { // pods without one are forbidden
		_, err := c.tryKubectl("get", "serviceaccount", "default")
		return err
	})
	return c
}

// newMachine makes a machine that finds programs in folders below bin.
func (c *cluster) newMachine(folders ...string) *machine.Machine {
	c.Helper()
	m, err := machine.New()
	c.must(err)
	c.Cleanup(func() {
		if err := m.Close(); err != nil {
			c.Error(err)
		}
	})
	for _, folder := range folders {
		m.Path = append(m.Path, filepath.Join(c.bin, folder))
	}
	return m
}

func (c *cluster) writeKeys(a *authority) error {
	const local, remote = "https://127.0.0.1:443", "https://" + controlAddress + ":443"
	for _, who := range []struct{ name, user, group, server string }{
		{"admin", "admin", "system:masters", local},
		{"apiserver", "kube-apiserver", "system:masters", local},
		{"controllers", "system:kube-controller-manager", "system:kube-controller-manager", local},
		{"scheduler", "system:kube-scheduler", "system:kube-scheduler", local},
		{"node1", "system:node:node1", "system:nodes", remote},
		{"node2", "system:node:node2", "system:nodes", remote},
	} {
		if err := a.issue(who.name, who.user, who.group, "127.0.0.1", controlAddress, serviceAddress); err != nil {
			return err
		}
		if err := a.kubeconfig(who.name, who.server); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) file(name string) string { return filepath.Join(c.folder, name) }

func (c *cluster) startControl() {
	c.Helper()
	c.start(c.control, "etcd", "server", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=warn")
	c.start(c.control, "apiserver", "kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--secure-port=443",
		"--advertise-address="+controlAddress, "--endpoint-reconciler-type=none", "--service-cluster-ip-range="+serviceRange,
		"--client-ca-file="+c.file("ca.crt"), "--tls-cert-file="+c.file("apiserver.crt"), "--tls-private-key-file="+c.file("apiserver.key"),
		"--kubelet-client-certificate="+c.file("apiserver.crt"), "--kubelet-client-key="+c.file("apiserver.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.file("ca.crt"),
		"--service-account-signing-key-file="+c.file("ca.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true")
	c.eventually("the API server is ready", func() error {
		_, err := c.tryKubectl("get", "--raw", "/readyz")
		return err
	})
	c.start(c.control, "controllers", "kube-controller-manager", "--kubeconfig="+c.file("controllers.conf"), "--leader-elect=false",
		"--use-service-account-credentials", "--root-ca-file="+c.file("ca.crt"), "--service-account-private-key-file="+c.file("ca.key"))
	c.start(c.control, "scheduler", "kube-scheduler", "--kubeconfig="+c.file("scheduler.conf"), "--leader-elect=false")
}

// start starts a program. If the test fails, it shows the program's log.
func (c *cluster) start(m *machine.Machine, name string, command ...string) *machine.Daemon {
	c.Helper()
	log := c.file(name + ".log")
	if _, err := os.Stat(log); err != nil {
		c.Cleanup(func() { c.showLog(log) })
	}
	daemon, err := m.StartDaemon(log, command...)
	c.must(err)
	return daemon
}

func (c *cluster) showLog(path string) {
	if !c.Failed() {
		return
	}
	text, err := os.ReadFile(path)
	if keep := os.Getenv("XDP_PORT_LOGS"); keep != "" {
		_ = os.WriteFile(filepath.Join(keep, filepath.Base(path)), text, 0o600)
	}
	c.Logf("%s (%v):\n%s", filepath.Base(path), err, text[max(0, len(text)-5_000):])
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// eventually retries for a while.
func (c *cluster) eventually(what string, try func() error) {
	c.Helper()
	var err error
	for deadline := time.Now().Add(2 * machine.Patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	c.Fatalf("not so in time: %s: %v", what, err)
}

func (c *cluster) tryKubectl(args ...string) (string, error) {
	return c.control.Run(append([]string{"kubectl", "--kubeconfig", c.file("admin.conf")}, args...)...)
}

func (c *cluster) kubectl(args ...string) string {
	c.Helper()
	out, err := c.tryKubectl(args...)
	c.must(err)
	return out
}

type object = map[string]any

// write writes an object into a file for kubectl.
func (c *cluster) write(o object) (path string) {
	c.Helper()
	text, err := json.Marshal(o)
	c.must(err)
	c.manifests++
	path = c.file(fmt.Sprintf("manifest-%d.json", c.manifests))
	c.must(os.WriteFile(path, text, 0o600))
	return path
}

// apply creates or changes an object.
func (c *cluster) apply(o object) {
	c.Helper()
	c.kubectl("apply", "-f", c.write(o))
}

// get returns a field of an object by its JSONPath.
func (c *cluster) get(kind, name, path string) string {
	c.Helper()
	return strings.TrimSpace(c.kubectl("get", kind, name, "-o", "jsonpath={"+path+"}"))
}
