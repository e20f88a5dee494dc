package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/veth"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// countersOf reads the counters of a container. No other test's container may share its
// ruleset.
func countersOf(t *testing.T, n *node.Node, c *node.Container) *datapath.Counters {
	t.Helper()
	var counters *datapath.Counters
	must(t, n.NS.Do(func(ns.NetNS) error {
		pair, err := veth.HostSide(c.NS.Path(), c.IfName)
		if err != nil {
			return err
		}
		programs, err := datapath.Dir(rulesetOf(t, c)).Open(datapath.Hooks{})
		if err != nil {
			return err
		}
		defer programs.Close()
		counters, err = programs.Counters(pair.Host.Index)
		return err
	}))
	return counters
}

// awaitCounters reads the counters once the kernel has handled all packets. A busy machine may
// take some time.
func awaitCounters(t *testing.T, n *node.Node, c *node.Container, through func(*datapath.Counters) bool) *datapath.Counters {
	t.Helper()
	for deadline := time.Now().Add(pace.Patience(5 * time.Second)); ; time.Sleep(10 * time.Millisecond) {
		counters := countersOf(t, n, c)
		if through(counters) || time.Now().After(deadline) {
			return counters
		}
	}
}

// rulesetOf returns the folder of a container's only ruleset.
func rulesetOf(t *testing.T, c *node.Container) string {
	t.Helper()
	pattern := filepath.Join(node.StateFolder, "rulesets", "*", "attachments", "*", c.ID(), c.IfName)
	found, err := filepath.Glob(pattern)
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%s: found %v, want one", pattern, found)
	}
	return filepath.Join(found[0], "../../../..")
}
