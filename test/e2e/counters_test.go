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

// countersOf reads the counters of a container whose ruleset no other test's
// container has.
func countersOf(t *testing.T, n *node.Node, c *node.Container) *datapath.Counters {
	t.Helper()
	var counters *datapath.Counters
	must(t, n.NS.Do(func(ns.NetNS) error {
		pair, err := veth.HostSide(c.NS.Path(), c.IfName)
		if err != nil {
			return err
		}
		programs, err := datapath.Open(rulesetOf(t, c), datapath.Hooks{})
		if err != nil {
			return err
		}
		defer programs.Close()
		counters, err = programs.Counters(pair.Host.Index)
		return err
	}))
	return counters
}

// settledCounters are countersOf once the packets that were sent are through. On
// a busy machine the kernel may handle them some time after it took them.
func settledCounters(t *testing.T, n *node.Node, c *node.Container, through func(*datapath.Counters) bool) *datapath.Counters {
	t.Helper()
	for deadline := time.Now().Add(pace.Patience(5 * time.Second)); ; time.Sleep(10 * time.Millisecond) {
		counters := countersOf(t, n, c)
		if through(counters) || time.Now().After(deadline) {
			return counters
		}
	}
}

// rulesetOf returns the folder of the only ruleset that a container uses.
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
