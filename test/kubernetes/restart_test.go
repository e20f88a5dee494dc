package kubernetes

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func (c *cluster) testKubelet() {
	c.survive(func(n *node, signal os.Signal) {
		c.must(n.kubelet.Stop(signal))
		n.startKubelet()
	})
}

func (c *cluster) testContainerd() {
	c.survive(func(n *node, signal os.Signal) {
		c.must(n.containerd.Stop(signal))
		n.startContainerd()
	})
}

// survive restarts a program on a node, after an orderly end and after a crash. Pods must not notice.
func (c *cluster) survive(restart func(n *node, signal os.Signal)) {
	c.Helper()
	n := c.nodes[0]
	for _, signal := range []os.Signal{unix.SIGTERM, unix.SIGKILL} {
		restart(n, signal)
	}
	c.ready(n)
	c.works(n)
	c.stillTalks("talker", "talker2")
}

func (c *cluster) ready(n *node) {
	c.Helper()
	c.eventually(n.name+" is Ready", func() error {
		if status, message := n.ready(); status != "True" {
			return fmt.Errorf("%q: %s", status, message)
		}
		return nil
	})
}

// testKill kills all processes of a node at once.
func (c *cluster) testKill() {
	c.remove("talker", "talker2")
	n := c.nodes[0]
	n.killAll()
	n.start()
	c.comesBack(n)
}

// testReboot also removes everything that is not on a disk. The BPF file system is mounted only when it is
// needed.
func (c *cluster) testReboot() {
	n := c.nodes[0]
	n.killAll()
	n.forget()
	n.start()
	c.comesBack(n)
}

// comesBack expects a node's pods to run again with the rules, and no state to be left after gc.
func (c *cluster) comesBack(n *node) {
	c.Helper()
	start := time.Now()
	c.ready(n)
	c.Logf("%s is Ready after %s", n.name, time.Since(start).Round(time.Second))
	c.eventually("the pods run again", func() error {
		for _, name := range []string{"client", "own"} {
			if got, err := c.ask(name, "udp", c.server(), 7999); err != nil || got != "udp 7998" {
				return fmt.Errorf("%s: %q, %w", name, got, err)
			}
		}
		return nil
	})
	c.Logf("pods run again after %s", time.Since(start).Round(time.Second))
	c.rolledOut()
	n.run("/opt/cni/bin/xdp-portctl", "gc")
	c.works(n)
	c.agentsReport(fmt.Sprintf("xdp_port_attachments %d", len(n.attachments())), n)
}
