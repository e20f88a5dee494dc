package portctl

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// agent is a running agent.
type agent struct {
	target
	command *exec.Cmd
	log     buffer
	url     string
}

// buffer has one writer and several readers.
type buffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

// startAgent starts an agent. If by is not empty, that command runs the agent.
func startAgent(o target, by ...string) *agent {
	o.Helper()
	const address = "127.0.0.1:9435"
	a := &agent{target: o, url: "http://" + address}
	a.command = node.ToolCommand(o.T, o.args("agent", "--config", o.config, "--listen", address, "--interval", "2s")...)
	confine(o.T, a.command)
	if len(by) > 0 {
		path, err := exec.LookPath(by[0])
		must(o.T, err)
		a.command.Path, a.command.Args = path, append(by, a.command.Args...)
	}
	a.command.Stderr = &a.log
	must(o.T, o.NS.Do(func(ns.NetNS) error { return a.command.Start() }))
	o.Cleanup(func() {
		_ = a.command.Process.Kill()
		_ = a.command.Wait()
		if o.Failed() {
			o.Log(a.log.String())
		}
	})
	a.eventuallySays("/healthz", http.StatusOK, "alive")
	return a
}

// confine gives a command only the capabilities that the DaemonSet gives the agent.
func confine(t *testing.T, command *exec.Cmd) {
	t.Helper()
	confineTo(t, command, capabilities(t, "agent"))
}

func confineTo(t *testing.T, command *exec.Cmd, capabilities []string) {
	t.Helper()
	path, err := exec.LookPath("setpriv")
	must(t, err)
	set := "-all"
	for _, capability := range capabilities {
		set += ",+" + strings.ToLower(capability)
	}
	command.Args = append([]string{"setpriv", "--bounding-set", set, "--no-new-privs", "--", command.Path}, command.Args[1:]...)
	command.Path = path
}

// capabilities returns the capabilities that the manifest gives a container.
func capabilities(t *testing.T, container string) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/daemonset.yaml")
	must(t, err)
	_, of, _ := strings.Cut(string(text), "- name: "+container+"\n")
	_, of, found := strings.Cut(of, "\n              add:\n")
	var names []string
	for line := range strings.Lines(of) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		if name, is := strings.CutPrefix(line, "- "); is {
			names = append(names, name)
		} else if !strings.HasPrefix(line, "#") {
			break
		}
	}
	if !found || len(names) == 0 {
		t.Fatalf("container %s has no capabilities in the manifest", container)
	}
	return names
}

// eventually waits until there is no complaint.
func eventually(t *testing.T, complaint func() string) {
	t.Helper()
	deadline := time.Now().Add(node.ToolTimeout)
	for {
		text := complaint()
		if text == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// eventuallySays waits until a path gives this answer.
func (a *agent) eventuallySays(path string, code int, words string) {
	a.Helper()
	eventually(a.T, func() string {
		// It may not be listening yet.
		conn, err := node.DialTCP(a.NS, netip.MustParseAddrPort(a.url[len("http://"):]))
		if err != nil {
			return err.Error()
		}
		conn.Close()
		got, text := fetch(a.T, a.Node, a.url+path)
		if got == code && strings.Contains(text, words) {
			return ""
		}
		return fmt.Sprintf("%s: %d %s\nwant %d with %q\n%s", path, got, text, code, words, a.log.String())
	})
}

// eventuallyHas waits until the conflist has an entry of xdp-port with these words.
func (a *agent) eventuallyHas(words ...string) {
	a.Helper()
	eventually(a.T, func() string {
		text := a.read(a.conflist)
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Sprintf("no %s in\n%s\n%s", word, text, a.log.String())
			}
		}
		return ""
	})
}

// TestAgent starts the agent before there is a network. It must give running containers new
// rules, and restore its entry after another installer.
func TestAgent(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	a := startAgent(o)
	a.eventuallySays("/readyz", http.StatusServiceUnavailable, "no configured network")
	original := o.writeNetwork()
	a.eventuallyHas(`"xdp-port"`, "7998")
	a.eventuallySays("/readyz", http.StatusOK, "ready")

	c := attach(t, o.Node)
	arrivals := watchArrivals(t, o.Node, 7997, 7998, 7999)
	wantArrival(t, o, c, arrivals, 7998)
	sending := []*node.Container{c}
	stop := sendAlways(t, sending)
	arrivals.awaitEach(t, sending, 7998)
	o.configure(to7997)
	arrivals.awaitEach(t, sending, 7997)
	a.eventuallyHas("7997")
	sent := stop()
	arrivals.wantOneSwitch(t, sending, 7998, 7997)
	if got := arrivals.count(7999); got > 0 {
		t.Errorf("%d of %d packets went under no rules", got, sent)
	}

	for what, rules := range map[string]string{
		"an error": `{"protocol": "udp", "port": 70000, "action": "drop"}`, "no JSON": `]`,
	} {
		before := o.read(o.conflist)
		o.configure(rules)
		a.eventuallySays("/readyz", http.StatusServiceUnavailable, o.config)
		a.eventuallySays("/metrics", http.StatusOK, `xdp_port_agent_problem{subject="configuration"} 1`)
		if o.read(o.conflist) != before {
			t.Errorf("%s changes the conflist", what)
		}
		wantArrival(t, o, c, arrivals, 7997)
	}
	o.configure(to7997)
	a.eventuallySays("/readyz", http.StatusOK, "ready")

	// Another installer writes its version in pieces.
	must(t, os.WriteFile(o.conflist, []byte(original[:len(original)/2]), 0o640))
	time.Sleep(50 * time.Millisecond)
	must(t, os.WriteFile(o.conflist, []byte(original), 0o640))
	a.eventuallyHas(`"xdp-port"`, "7997")

	must(t, a.command.Process.Signal(unix.SIGTERM))
	must(t, a.command.Wait())
	if !strings.Contains(o.read(o.conflist), `"xdp-port"`) {
		t.Error("the entry went with the agent, so that an upgrade would leave new containers without rules")
	}
	must(t, c.Detach("lab"))
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
	if got := o.read(o.conflist); got != original {
		t.Errorf("the conflist is\n%s\nwant\n%s", got, original)
	}
}

// TestAgentBackoff makes another installer restore its version each time. The agent must
// give up and say so. Containers keep their rules.
func TestAgentBackoff(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	original := o.writeNetwork()
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0)
	c := attach(t, o.Node)
	a := startAgent(o)
	rewritten := 0
	eventually(t, func() string {
		// The agent may write once more before it gives up.
		hasGivenIn := strings.Contains(a.log.String(), "another installer has rewritten it")
		if text, err := os.ReadFile(o.conflist); err == nil && strings.Contains(string(text), `"xdp-port"`) {
			must(t, os.WriteFile(o.conflist, []byte(original), 0o640))
			rewritten++
		}
		if hasGivenIn {
			return ""
		}
		return fmt.Sprintf("rewritten %d times, and the agent goes on: %s", rewritten, a.log.String())
	})
	a.eventuallySays("/readyz", http.StatusServiceUnavailable, "conflist: another installer has rewritten it")
	if o.read(o.conflist) != original {
		t.Error("it says that, and goes on")
	}
	if rewritten < 5 {
		t.Errorf("it gives in after %d times", rewritten)
	}
	detachLink(t, c)
	a.eventuallyHeals(c)
	must(t, c.Detach("lab"))
	portctl(t, o.Node, "gc").want(t, 0) // DEL read a network without xdp-port
}

// TestAgentFixes expects the agent to find changes that nothing reports: changed rules
// of a container, and a container that has gone.
func TestAgentFixes(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	o.writeNetwork()
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0)
	c := attach(t, o.Node)
	by := write(t, conflist("lab", rewriteTo(7997)))
	portctl(t, o.Node, "apply", by).want(t, 0)
	a := startAgent(o)
	arrivals := watchArrivals(t, o.Node, 7998)
	wantArrival(t, o, c, arrivals, 7998)
	a.eventuallySays("/metrics", http.StatusOK, `xdp_port_agent_changes_total{outcome="changed"} 1`)
	eventually(t, func() string { // the log arrives through a pipe
		if text := a.log.String(); !strings.Contains(text, "-main: egress udp 7999 -> 7997") || !strings.Contains(text, "a container got the configured rules") {
			return "the difference is not in the log: " + text
		}
		return ""
	})
	must(t, c.Detach("lab"))
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
}

// TestAgentKeepsPrograms expects the agent to restore missing programs. No container could
// start if the conflist named a missing plugin.
func TestAgentKeepsPrograms(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	o.writeNetwork()
	a := startAgent(o)
	for range 2 {
		eventually(t, func() string {
			_, err := os.Stat(filepath.Join(o.bin, "xdp-port"))
			if err != nil {
				return err.Error() + a.log.String()
			}
			return ""
		})
		must(t, os.Remove(filepath.Join(o.bin, "xdp-port")))
	}
}

// TestAgentFolderRemoved expects the agent to exit if its mount is of a removed folder and
// it could not see a new one. It is restarted then.
func TestAgentFolderRemoved(t *testing.T) {
	mounted := filepath.Join(t.TempDir(), "mounted")
	must(t, os.Mkdir(mounted, 0o700))
	o := newTarget(t)
	o.configure(to7998)
	original := o.writeNetwork()
	folder, seen := filepath.Dir(o.conflist), o
	seen.conflist = filepath.Join(mounted, "lab.conflist")
	a := startAgent(seen, "unshare", "--mount", "sh", "-ec", `mount --bind "$0" "$1"; shift; exec "$@"`, folder, mounted)
	a.target = o
	a.eventuallySays("/readyz", http.StatusOK, "ready")
	must(t, os.RemoveAll(folder))
	must(t, os.Mkdir(folder, 0o700))
	must(t, os.WriteFile(o.conflist, []byte(original), 0o640))
	ended := make(chan error, 1)
	go func() { ended <- a.command.Wait() }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(a.log.String(), "restart the agent") {
			t.Errorf("it ends with %v: %s", err, a.log.String())
		}
	case <-time.After(node.ToolTimeout):
		t.Errorf("it goes on: %s", a.log.String())
	}
}

// TestAgentFolderMoved replaces the folder of the networks, and turns a symbolic link to the
// folder of the plugins, as an upgrade of k3s does.
func TestAgentFolderMoved(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	original := o.writeNetwork()
	top := t.TempDir()
	current := filepath.Join(top, "current")
	for _, version := range []string{"one", "two"} {
		must(t, os.MkdirAll(filepath.Join(top, version, "bin"), 0o700))
	}
	must(t, os.Symlink("one", current))
	o.bin = filepath.Join(current, "bin")
	a := startAgent(o)
	a.eventuallySays("/readyz", http.StatusOK, "ready")

	must(t, os.Symlink("two", current+".new"))
	must(t, os.Rename(current+".new", current))
	for _, name := range []string{"xdp-port", "xdp-portctl"} {
		eventually(t, func() string {
			if _, err := os.Stat(filepath.Join(top, "two", "bin", name)); err != nil {
				return err.Error() + a.log.String()
			}
			return ""
		})
	}
	folder := filepath.Dir(o.conflist)
	must(t, os.RemoveAll(folder))
	must(t, os.Mkdir(folder, 0o700))
	must(t, os.WriteFile(o.conflist, []byte(original), 0o640))
	a.eventuallyHas(`"xdp-port"`)
	must(t, os.WriteFile(o.conflist, []byte(original), 0o640)) // the agent watches this one, too
	a.eventuallyHas(`"xdp-port"`)
	a.eventuallySays("/readyz", http.StatusOK, "ready")
	for _, what := range []string{"two/bin", folder} {
		if text := a.log.String(); !strings.Contains(text, "a folder was replaced") || !strings.Contains(text, what) {
			t.Errorf("%s is not reported:\n%s", what, text)
		}
	}
}

// TestAgentWithoutInotify expects the agent to poll if the kernel reports no changes.
func TestAgentWithoutInotify(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	a := startAgent(o, "unshare", "--user", "--map-root-user", "sh", "-ec", `echo 0 >/proc/sys/user/max_inotify_instances; exec "$0" "$@"`)
	o.writeNetwork()
	a.eventuallyHas(`"xdp-port"`, "7998")
	o.configure(to7997)
	a.eventuallyHas("7997")
	if text := a.log.String(); strings.Count(text, "changes are found late") != 2 {
		t.Errorf("it does not say once for each folder that it only looks:\n%s", text)
	}
}

// TestAgentOwnRules has a container with rules that conflict with the network's new ones. It
// must keep the old rules and be reported, and others must change.
func TestAgentOwnRules(t *testing.T) {
	o := newTarget(t)
	open := `{ "capabilities": { "xdpPortRules": true }, "rules": [%s] }`
	must(t, os.WriteFile(o.config, fmt.Appendf(nil, open, to7998), 0o600))
	o.writeNetwork()
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0)
	plain := attach(t, o.Node)
	own, err := o.Container()
	must(t, err)
	own.CapArgs = `{"xdpPortRules": [{"protocol": "udp", "port": 6999, "toPort": 25}]}`
	_, err = own.Attach("lab")
	must(t, err)
	a := startAgent(o)
	a.eventuallySays("/readyz", http.StatusOK, "ready")
	drop := `{ "name": "no-smtp", "protocol": "udp", "port": 25, "action": "drop" }`
	must(t, os.WriteFile(o.config, fmt.Appendf(nil, open, to7997+","+drop), 0o600))
	arrivals := watchArrivals(t, o.Node, 7997, 7998)
	wantArrival(t, o, plain, arrivals, 7997)
	wantArrival(t, o, own, arrivals, 7998)
	a.eventuallySays("/readyz", http.StatusServiceUnavailable, own.ID()+" in network lab keeps rules that differ")
	a.eventuallySays("/metrics", http.StatusOK, "xdp_port_agent_drifted_attachments 1")
	eventually(t, func() string { // it keeps trying
		_, text := fetch(t, a.Node, a.url+"/metrics")
		_, text, _ = strings.Cut(text, "\nxdp_port_agent_changes_total{outcome=\"failed\"} ")
		var times int
		if _, err := fmt.Sscan(text, &times); err != nil || times < 3 {
			return fmt.Sprintf("it tried %d times (%v)", times, err)
		}
		return ""
	})
	if reported := strings.Count(a.log.String(), "keeps rules that differ"); reported != 1 {
		t.Errorf("it is reported %d times:\n%s", reported, a.log.String())
	}
	must(t, own.Detach("lab"))
	a.eventuallySays("/readyz", http.StatusOK, "ready")
	must(t, plain.Detach("lab"))
}

// TestAgentUsage expects the agent to refuse contradictory flags.
func TestAgentUsage(t *testing.T) {
	n := node.ForTest(t)
	portctl(t, n, "agent").want(t, 2)
	portctl(t, n, "agent", "--config", "x", "--configmap", "a/b").want(t, 2)
	portctl(t, n, "agent", "--configmap", "a").want(t, 2)
	out := portctl(t, n, "agent", "--configmap", "a/b")
	out.want(t, 1)
	if !strings.Contains(out.stderr, "not in a Kubernetes pod") {
		t.Errorf("%s", out.stderr)
	}
	out = portctl(t, n, "agent", "--config", "x", "--net-dir", filepath.Join(t.TempDir(), "none"))
	out.want(t, 1)
	if !strings.Contains(out.stderr, "no such file") {
		t.Errorf("%s", out.stderr)
	}
}
