package e2e

import (
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestCountersAreAccumulated replaces the rules, the mode and the hook of a running container.
// Its totals continue, and so do the counters of rules with the same name.
func TestCountersAreAccumulated(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	before := node.State()
	serve(t, n.Far, 7997)
	serve(t, n.Far, 7998)
	stays := rule("name", "stays", "protocol", "udp", "port", 7999, "toPort", 7998)
	comes := rule("name", "comes", "protocol", "udp", "port", 7000, "toPort", 7997)
	config := direct([]any{stays})
	wantSuccess(t, plugin(t, c, "ADD", config))
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(10, 0, 1000)))

	config["rules"] = []any{comes, stays}
	wantSuccess(t, plugin(t, c, "ADD", config))
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(5, 0, 1000)))
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 7000), node.Sizes(3, 0, 1000)))
	for range 2 {
		counters := directCounters(t, c)
		if counters.Rewritten != 18 || counters.RepliesRestored != 18 {
			t.Errorf("%+v: 18 packets were rewritten, and as many replies restored", counters)
		}
		if counters.Rules[0].Packets != 3 || counters.Rules[1].Packets != 15 {
			t.Errorf("%+v: the rules decided 3 and 15 packets", counters.Rules)
		}
		config["mode"], config["tcHook"] = node.OtherMode(t, node.AutoMode(t)), "clsact"
		wantSuccess(t, plugin(t, c, "ADD", config))
	}
	wantSuccess(t, plugin(t, c, "DEL", config))
	must(t, before.Unchanged())
}

func directCounters(t *testing.T, c *node.Container) *datapath.Counters {
	t.Helper()
	ruleset := directRuleset(t, c)
	folder := filepath.Join(ruleset, "attachments", "lab", c.PluginID(), c.IfName)
	counters, err := attachment.Folder(folder).Counters(datapath.Dir(ruleset))
	must(t, err)
	return counters
}

// TestFailedModeKeepsRules configures a mode that no veth supports. The rules in force must
// stay.
func TestFailedModeKeepsRules(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	serve(t, n.Far, 7998)
	before := node.State()
	config := direct(tutorial())
	wantSuccess(t, plugin(t, c, "ADD", config))
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(10, 0, 1000)))
	config["mode"] = "offload"
	wantRefusal(t, plugin(t, c, "ADD", config), 103, "offload")
	config["mode"] = "auto"
	wantSuccess(t, plugin(t, c, "CHECK", config))
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(10, 0, 1000)))
	if counters := directCounters(t, c); counters.Rewritten != 20 {
		t.Errorf("%+v: 20 packets were rewritten", counters)
	}
	wantSuccess(t, plugin(t, c, "DEL", config))
	must(t, before.Unchanged())
}
