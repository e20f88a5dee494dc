package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// node runs containerd and a kubelet.
type node struct {
	c                   *cluster
	m                   *machine.Machine
	name                string
	number              int
	containerd, kubelet *machine.Daemon
}

const (
	echoImage = "localhost/xdp-port/echo:latest"
	nodeImage = "localhost/xdp-port/xdp-port"
)

// containerdConfig works without what a host may lack: AppArmor, CAP_SYS_RESOURCE for a better OOM score,
// and a registry.
const containerdConfig = `version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + echoImage + `"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`

// kubeletConfig does not touch the host's cgroups of version 1, disk and iptables. Volumes are updated at
// the default interval.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: %s } }
authorization: { mode: AlwaysAllow }
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: { memory.available: 1Mi, nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%", imagefs.inodesFree: "0%%" }
`

// sysctls are set by the kubelet, which not every host allows.
var sysctls = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// original is the network's conflist in its installer's own format.
const original = `{"cniVersion": "1.0.0", "cniVersions": ["1.0.0", "1.1.0"],
	"name" : "pods",
  "plugins": [
      {
        "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]],
                 "routes": [{"dst": "0.0.0.0/0"}] } }
  ] }

`

const conflistPath = "/etc/cni/net.d/10-pods.conflist"

func (n *node) original() string { return fmt.Sprintf(original, podRange(n.number)) }

func (c *cluster) newNode(number int) *node {
	c.Helper()
	n := &node{c: c, m: c.newMachine("containerd", "kubernetes"), name: fmt.Sprintf("node%d", number), number: number}
	c.must(wireNode(c.control, n.m, number, nodeCount))
	n.layOut()
	n.startContainerd()
	for _, image := range []string{"echo.tar", "xdp-port.tar", "xdp-port-next.tar"} {
		n.run("ctr", "-n", "k8s.io", "image", "import", filepath.Join(c.bin, image))
	}
	n.startKubelet()
	return n
}

// layOut makes a node's files before xdp-port is installed.
func (n *node) layOut() {
	n.c.Helper()
	var script strings.Builder
	script.WriteString("echo 1 >/proc/sys/net/ipv4/ip_forward; mkdir -p /var/lib/kubelet /run/sysctl\n")
	for name, value := range sysctls {
		file := "/run/sysctl/" + strings.ReplaceAll(name, "/", ".")
		fmt.Fprintf(&script, "echo %s >%s; mount --bind %s /proc/sys/%s\n", value, file, file, name)
	}
	// As with systemd: later mounts reach containers.
	script.WriteString("mount --make-rshared /\n")
	n.run("sh", "-ec", script.String())
	for _, plugin := range []string{"bridge", "host-local", "loopback"} {
		n.run("install", "-Dt", "/opt/cni/bin", filepath.Join(n.c.bin, "cni", plugin))
	}
	n.c.must(n.m.WriteFile(conflistPath, n.original()))
	n.c.must(n.m.WriteFile("/etc/containerd/config.toml", containerdConfig))
	n.c.must(n.m.WriteFile("/etc/kubernetes/kubelet.yaml", fmt.Sprintf(kubeletConfig, n.c.file("ca.crt"))))
}

func (n *node) run(command ...string) string {
	n.c.Helper()
	out, err := n.m.Run(command...)
	n.c.must(err)
	return out
}

func (n *node) startContainerd() {
	n.c.Helper()
	n.containerd = n.c.start(n.m, n.name+"-containerd", "containerd")
	n.c.eventually("containerd answers", func() error {
		_, err := n.m.Run("ctr", "version")
		return err
	})
}

func (n *node) startKubelet() {
	n.c.Helper()
	n.kubelet = n.c.start(n.m, n.name+"-kubelet", "kubelet", "--config=/etc/kubernetes/kubelet.yaml",
		"--kubeconfig="+n.c.file(n.name+".conf"), "--hostname-override="+n.name, "--node-ip="+nodeAddress(n.number))
}

// killAll kills all processes on the node except its first one.
func (n *node) killAll() {
	n.c.Helper()
	n.run("sh", "-c", "kill -9 -1 || true")
	<-n.kubelet.Ended()
	<-n.containerd.Ended()
}

func (n *node) start() {
	n.c.Helper()
	n.startContainerd()
	n.startKubelet()
}

// forget removes what a reboot removes: pins, network namespaces, mounts, and cgroups, in each of which the
// kubelet would look for a container.
func (n *node) forget() {
	n.c.Helper()
	n.run("sh", "-ec", `
		awk '$2 ~ "^(/sys/fs/bpf|/run/netns|/run/containerd|/var/lib/kubelet/)" { print $2 }' /proc/self/mounts | sort -r |
			while read -r path; do umount -l "$path" || ! grep -q " $path " /proc/self/mounts; done
		rm -rf /run/netns /run/containerd
		find /sys/fs/cgroup -depth -type d -path "*/k8s.io*" -exec rmdir {} +
		! mountpoint -q /sys/fs/bpf`)
}

// ready returns the node's condition and its reason.
func (n *node) ready() (status, message string) {
	out, err := n.c.tryKubectl("get", "node", n.name, "-o",
		`jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}`)
	if err != nil {
		return "", err.Error()
	}
	status, message, _ = strings.Cut(out, " ")
	return status, message
}

func (n *node) conflist() string {
	n.c.Helper()
	text, err := os.ReadFile(n.m.File(conflistPath))
	n.c.must(err)
	return string(text)
}

// attachments are the folders of the attachments.
func (n *node) attachments() []string {
	found, _ := filepath.Glob(n.m.File("/sys/fs/bpf/xdp-port/rulesets/*/attachments/*/*/*")) // the pattern is good
	return found
}

// veths are the host sides of the node's pods.
func (n *node) veths() []string {
	n.c.Helper()
	return strings.Fields(n.run("sh", "-c", "ls -d /proc/sys/net/ipv4/conf/veth* 2>/dev/null; true"))
}

// clean expects no state of containers that have gone.
func (n *node) clean() error {
	out, err := n.m.Run("/opt/cni/bin/xdp-portctl", "gc", "--dry-run")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if out, err = n.m.Run("/opt/cni/bin/xdp-portctl", "list"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if a, v := len(n.attachments()), len(n.veths()); a > v {
		return fmt.Errorf("%d attachments and %d veths", a, v)
	}
	pending, _ := filepath.Glob(n.m.File("/sys/fs/bpf/xdp-port/rulesets/*/claims/*"))
	temporary, _ := filepath.Glob(n.m.File("/sys/fs/bpf/xdp-port/tmp/*"))
	if left := append(pending, temporary...); len(left) > 0 {
		return errors.New("left half-made: " + strings.Join(left, " "))
	}
	return nil
}
