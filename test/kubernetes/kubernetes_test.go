package kubernetes

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The cluster's rules, in the order of their use.
const (
	tutorial = `{ "name": "udp", "protocol": "udp", "port": 7999, "toPort": 7998 }, { "name": "tcp", "protocol": "tcp", "port": 7999, "toPort": 7998 }`
	more     = tutorial + `, { "name": "udp2", "protocol": "udp", "port": 5000, "toPort": 7998 }, { "name": "tcp2", "protocol": "tcp", "port": 5000, "toPort": 7998 }`
	own      = `[{ "protocol": "udp", "port": 6000, "toPort": 6998 }, { "protocol": "tcp", "port": 6000, "toPort": 6998 }]`
)

// TestCluster installs xdp-port on a cluster, uses it and removes it. Its parts build on each other.
func TestCluster(t *testing.T) {
	c := newCluster(t)
	part := func(name string, do func(*cluster)) {
		if t.Failed() {
			return
		}
		t.Run(name, func(t *testing.T) {
			on := *c
			on.T = t
			for i, n := range on.nodes {
				copied := *n
				copied.c = &on
				on.nodes[i] = &copied
			}
			start := time.Now()
			do(&on)
			c.manifests, c.nodes = on.manifests, on.nodes
			t.Logf("in %s", time.Since(start).Round(time.Second))
		})
	}
	part("rules with the DaemonSet and only then", (*cluster).testInstall)
	part("an annotated pod has its own rule", (*cluster).testAnnotation)
	part("a ConfigMap reaches running pods", (*cluster).testConfigMap)
	part("an invalid ConfigMap changes nothing", (*cluster).testInvalid)
	part("another installer", (*cluster).testRewritten)
	part("metrics for those who may", (*cluster).testTokens)
	part("a role is removed", (*cluster).testRoleRemoved)
	part("kubelet restart", (*cluster).testKubelet)
	part("containerd restart", (*cluster).testContainerd)
	part("DaemonSet upgrade", (*cluster).testUpgrade)
	part("NotReady when STATUS fails", (*cluster).testStatus)
	part("kill -9 of everything on a node", (*cluster).testKill)
	part("a node reboots", (*cluster).testReboot)
	part("the DaemonSet is deleted", (*cluster).testDeleteDaemonSet)
	part("the manifest is deleted", (*cluster).testDelete)
}

func (c *cluster) server() string { return c.address("server") }

// testInstall has a pod from before the installation, and one from after.
func (c *cluster) testInstall() {
	c.run(pod{name: "server", node: "node2", args: serve})
	c.run(pod{name: "early", node: "node1", args: serve})
	c.want("early", c.server(), 7999, 7999)

	c.kubectl("apply", "-k", deploy(c.T))
	c.rolledOut()
	for _, n := range c.nodes {
		if n.conflist() != n.original() {
			c.Errorf("without any rules the conflist of %s is changed:\n%s", n.name, n.conflist())
		}
	}
	c.configure(tutorial)
	c.eventuallyConfigured("7999")
	for _, n := range c.nodes {
		if text := n.conflist(); !strings.Contains(text, `"xdp-port"`) {
			c.Errorf("%s has no xdp-port in its conflist:\n%s", n.name, text)
		}
	}
	c.run(pod{name: "client", node: "node1", args: serve})
	c.want("client", c.server(), 7999, 7998)
	c.want("client", c.server(), 6998, 6998)
	c.want("early", c.server(), 7999, 7999)
	c.talk("talker")
}

// configure changes the rules as the guide does.
func (c *cluster) configure(rules string) {
	c.Helper()
	text := `{ "capabilities": { "io.kubernetes.cri.pod-annotations": true }, "rules": [` + rules + `] }`
	patch := c.write(object{"data": object{"xdp-port.json": text}})
	c.kubectl("-n", "xdp-port", "patch", "configmap", "xdp-port", "--patch-file", patch)
}

// rolledOut waits until the DaemonSet is up to date on all nodes.
func (c *cluster) rolledOut() {
	c.Helper()
	c.eventually("the DaemonSet is rolled out", func() error {
		out, err := c.tryKubectl("-n", "xdp-port", "rollout", "status", "daemonset/xdp-port", "--timeout=20s")
		if err != nil {
			pods, _ := c.tryKubectl("-n", "xdp-port", "get", "pods", "-o", "wide")
			log, _ := c.tryKubectl("-n", "xdp-port", "logs", "--all-containers", "-l", "app.kubernetes.io/name=xdp-port")
			events, _ := c.tryKubectl("-n", "xdp-port", "get", "events", "-o", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)
			return fmt.Errorf("%w: %s\n%s\n%s\n%s", err, out, pods, log, events)
		}
		return nil
	})
}

// eventuallyConfigured waits until the conflists of all nodes contain a word.
func (c *cluster) eventuallyConfigured(word string) {
	c.Helper()
	c.eventually(word+" is in the conflists", func() error {
		for _, n := range c.nodes {
			if !strings.Contains(n.conflist(), word) {
				return errors.New(n.conflist())
			}
		}
		return nil
	})
	// containerd notices the change of the file at the same time as the test.
	time.Sleep(time.Second)
}

func (c *cluster) testAnnotation() {
	c.run(pod{name: "own", node: "node1", args: serve, rules: own})
	c.want("own", c.server(), 6000, 6998)
	c.want("own", c.server(), 7999, 7998)
	for _, protocol := range []string{"udp", "tcp"} {
		if got, err := c.ask("client", protocol, c.server(), 6000); err == nil {
			c.Errorf("a pod without the annotation: %q", got)
		}
	}
	c.refuse(pod{name: "mistaken", node: "node1", args: serve, rules: `[{ "protocol": "udp", "port": 70000, "action": "drop" }]`},
		"70000 is not a port")
}

// refuse expects a pod not to start, its events to contain the reason, and no state to be left.
func (c *cluster) refuse(p pod, reason string) {
	c.Helper()
	c.create(p)
	c.eventually("the events of "+p.name+" say "+reason, func() error {
		if text := c.events(p.name); !strings.Contains(text, reason) || !strings.Contains(text, "xdp-port/rules") {
			return errors.New(text)
		}
		return nil
	})
	c.Logf("%s", c.events(p.name))
	c.remove(p.name)
	c.eventually("nothing is left of "+p.name, c.nodes[0].clean)
}

// testConfigMap changes the rules under open connections.
func (c *cluster) testConfigMap() {
	const soon = 10 * time.Second
	c.talk("talker2")
	if got, err := c.ask("client", "udp", c.server(), 5000); err == nil {
		c.Fatalf("before the change: %q", got)
	}
	start := time.Now()
	c.configure(more)
	var took time.Duration
	c.eventually("a running pod has the new rules", func() error {
		rules, err := c.nodes[0].m.Run("/opt/cni/bin/xdp-portctl", "list", "-o", "json")
		took = time.Since(start)
		if got := strings.Count(rules, `"ruleCount": 4`); err == nil && got < 3 {
			err = fmt.Errorf("%d have: %s", got, rules)
		}
		return err
	})
	c.Logf("a running pod has the new rules after %s", took.Round(100*time.Millisecond))
	if took > soon {
		c.Errorf("it took %s, more than %s", took, soon)
	}
	for _, client := range []string{"client", "own"} {
		c.want(client, c.server(), 5000, 7998)
		c.want(client, c.server(), 7999, 7998)
	}
	c.want("own", c.server(), 6000, 6998)
	c.stillTalks("talker", "talker2")
}

func (c *cluster) testInvalid() {
	before := c.nodes[0].conflist()
	c.configure(more + `, { "protocol": "udp", "port": 70000, "action": "drop" }`)
	c.eventually("the agents are not ready", func() error {
		out, err := c.tryKubectl("-n", "xdp-port", "get", "daemonset", "xdp-port", "-o", "jsonpath={.status.numberReady}")
		if err == nil && strings.TrimSpace(out) != "0" {
			err = fmt.Errorf("%s are ready", out)
		}
		return err
	})
	log := c.kubectl("-n", "xdp-port", "logs", "daemonset/xdp-port", "-c", "agent")
	if want := "rules[4].port: 70000 is not a port (1-65535)"; !strings.Contains(log, want) {
		c.Errorf("no %q in the log:\n%s", want, log)
	}
	const problem = `xdp_port_agent_problem{subject="configuration"} 1`
	c.agentsReport(problem)
	// Agents that start now, as on new nodes, must report it too.
	c.kubectl("-n", "xdp-port", "delete", "pod", "-l", "app.kubernetes.io/name=xdp-port", "--wait")
	c.agentsReport(problem)
	if c.nodes[0].conflist() != before {
		c.Errorf("the conflist is changed:\n%s", c.nodes[0].conflist())
	}
	c.want("client", c.server(), 5000, 7998)

	c.kubectl("-n", "xdp-port", "patch", "configmap", "xdp-port", "-p", `{"data": {"xdp-port.json": null}}`)
	c.eventually("the agents say that the rules are gone", func() error {
		log, err := c.tryKubectl("-n", "xdp-port", "logs", "daemonset/xdp-port", "-c", "agent")
		if err == nil && !strings.Contains(log, "missing key") {
			err = errors.New(log)
		}
		return err
	})
	c.agentsReport(problem)
	c.want("client", c.server(), 5000, 7998)
	c.configure(more)
	c.rolledOut()
	c.agentsReport("xdp_port_agent_drifted_attachments 0")
}

// agentsReport waits until the metrics of the agents on the nodes, or on all, contain a line.
func (c *cluster) agentsReport(line string, nodes ...*node) {
	c.Helper()
	if len(nodes) == 0 {
		nodes = c.nodes
	}
	for _, n := range nodes {
		c.eventually("the agent of "+n.name+" tells "+line, func() error {
			name, err := c.tryKubectl("-n", "xdp-port", "get", "pods", "--field-selector=spec.nodeName="+n.name, "-o", "jsonpath={.items[*].metadata.name}")
			if err != nil {
				return err
			}
			text, err := c.tryKubectl("get", "--raw", "/api/v1/namespaces/xdp-port/pods/"+strings.TrimSpace(name)+":9435/proxy/metrics")
			if err == nil && !strings.Contains(text, line+"\n") {
				err = errors.New(text)
			}
			return err
		})
	}
}

// testRewritten has another installer write its version again.
func (c *cluster) testRewritten() {
	n := c.nodes[0]
	c.must(n.m.WriteFile(conflistPath, n.original()))
	c.eventuallyConfigured(`"xdp-port"`)
	c.stillTalks("talker")
}

// works expects old pods and a new one to have the rules on a node, and no state to be left.
func (c *cluster) works(n *node) {
	c.Helper()
	c.running("client")
	c.run(pod{name: "new", node: n.name, args: serve})
	c.want("new", c.server(), 7999, 7998)
	c.want("client", c.server(), 7999, 7998)
	c.remove("new")
	c.eventually("nothing is left on "+n.name, n.clean)
}

// testStatus removes what the plugin needs from a node, and restores it.
func (c *cluster) testStatus() {
	n := c.nodes[0]
	n.run("mount", "-o", "remount,bind,ro", "/sys/fs/bpf")
	c.eventually("the node is NotReady with our reason", func() error {
		status, message := n.ready()
		if status != "False" || !strings.Contains(message, "xdp-port cannot serve ADD") || !strings.Contains(message, "read-only file system") {
			return fmt.Errorf("Ready is %q: %s", status, message)
		}
		c.Logf("%s: %s", n.name, message)
		return nil
	})
	n.run("mount", "-o", "remount,bind,rw", "/sys/fs/bpf")
	c.ready(n)
	c.stillTalks("talker", "talker2")
}

// testDeleteDaemonSet expects restored nodes and unchanged pods, and everything to work after
// re-creation.
func (c *cluster) testDeleteDaemonSet() {
	c.talk("talker3")
	c.kubectl("-n", "xdp-port", "delete", "daemonset", "xdp-port", "--wait")
	c.wantOriginal()
	c.run(pod{name: "between", node: "node1", args: serve})
	c.want("between", c.server(), 7999, 7999)
	c.want("client", c.server(), 7999, 7998)

	c.kubectl("apply", "-k", deploy(c.T))
	c.rolledOut()
	c.eventuallyConfigured("7999")
	c.works(c.nodes[0])
	c.want("between", c.server(), 7999, 7999)
	c.stillTalks("talker3")
}

// wantOriginal expects the conflists as their installer wrote them.
func (c *cluster) wantOriginal() {
	c.Helper()
	for _, n := range c.nodes {
		c.eventually("the conflist of "+n.name+" is put back", func() error {
			if text := n.conflist(); text != n.original() {
				return fmt.Errorf("it is\n%s\nwant\n%s", text, n.original())
			}
			return nil
		})
		c.eventually("nothing is beside it", func() error {
			files, err := filepath.Glob(filepath.Join(filepath.Dir(n.m.File(conflistPath)), "*"))
			if err == nil && len(files) != 1 {
				err = fmt.Errorf("%v", files)
			}
			return err
		})
	}
	time.Sleep(time.Second) // containerd reads the conflist meanwhile
}

// testDelete deletes everything at once, including the agent's permissions.
func (c *cluster) testDelete() {
	c.kubectl("delete", "-k", deploy(c.T), "--wait")
	c.wantOriginal()
	c.want("client", c.server(), 7999, 7998)
	c.want("own", c.server(), 6000, 6998)
	c.stillTalks("talker3")
	c.run(pod{name: "late", node: "node1", args: serve})
	c.want("late", c.server(), 7999, 7999)

	c.remove("late", "between", "client", "own", "early", "talker3", "server")
	for _, n := range c.nodes {
		c.eventually("nothing is left on "+n.name+" after gc", func() error {
			out, err := n.m.Run("sh", "-ec", "if test -e /sys/fs/bpf/xdp-port; then /opt/cni/bin/xdp-portctl gc; fi; ls /sys/fs/bpf")
			if err == nil && strings.Contains(out, "xdp-port") {
				err = errors.New(out)
			}
			return err
		})
	}
}
