package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestRulesAreReplaced runs ADD again with other rules. Connections must survive, the new rules must
// be in force, and nothing of the old ones may be left.
func TestRulesAreReplaced(t *testing.T) {
	for _, way := range []struct{ mode, hook string }{
		{"generic", "tcx"}, {"generic", "clsact"}, {"tc", "tcx"}, {"tc", "clsact"},
	} {
		t.Run(way.mode+"/"+way.hook, func(t *testing.T) {
			node.NeedMode(t, way.mode)
			if way.hook == "tcx" {
				node.NeedTCX(t)
			}
			n := node.ForTest(t)
			c := bare(t, n)
			serve(t, n.Far, 7997)
			serve(t, n.Far, 7998)
			before := node.State()
			config := direct(tutorial())
			config["mode"], config["tcHook"] = way.mode, way.hook
			wantSuccess(t, plugin(t, c, "ADD", config))
			old, err := node.DialUDP(c.NS, far("IPv4", 7999))
			must(t, err)
			defer old.Close()
			must(t, askOn(old, "before"))
			ruleset := directRuleset(t, c)

			wantSuccess(t, plugin(t, c, "ADD", config))
			if again := directRuleset(t, c); again != ruleset {
				t.Errorf("the same rules moved from %s to %s", ruleset, again)
			}

			// The rule stays and another is added: the old flow must survive.
			config["rules"] = append(tutorial(), rule("protocol", "udp", "port", 7000, "toPort", 7997))
			wantSuccess(t, plugin(t, c, "ADD", config))
			must(t, askOn(old, "after"))
			must(t, node.ExchangeUDP(c.NS, far("IPv4", 7000), node.Sizes(10, 0, 1000)))
			if _, err := os.Stat(ruleset); !os.IsNotExist(err) {
				t.Errorf("the old ruleset is still there: %v", err)
			}
			wantSuccess(t, plugin(t, c, "CHECK", config))

			// Fewer programs are needed now: only those for packets from the container.
			config["rules"] = []any{rule("protocol", "udp", "port", 7999, "action", "drop")}
			wantSuccess(t, plugin(t, c, "ADD", config))
			wantAnswer(t, c.NS, far("IPv4", 7999), "")
			wantSuccess(t, plugin(t, c, "CHECK", config))

			// And more programs again.
			config["rules"] = tutorial()
			wantSuccess(t, plugin(t, c, "ADD", config))
			must(t, askOn(old, "again"))
			wantSuccess(t, plugin(t, c, "CHECK", config))

			// A change of the mode needs new links.
			config["mode"] = node.OtherMode(t, way.mode)
			wantSuccess(t, plugin(t, c, "ADD", config))
			must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(10, 0, 1000)))
			wantSuccess(t, plugin(t, c, "CHECK", config))

			wantSuccess(t, plugin(t, c, "DEL", config))
			must(t, before.Unchanged())
		})
	}
}

// directRuleset returns the folder of the ruleset of a container that the plugin itself attached.
func directRuleset(t *testing.T, c *node.Container) string {
	t.Helper()
	return filepath.Join(directAttachment(t, c), "../../../..")
}

// directAttachment returns the folder of that attachment.
func directAttachment(t *testing.T, c *node.Container) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(node.StateFolder, "rulesets", "*", "attachments", "lab", c.PluginID(), c.IfName))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("found %v, want one attachment", found)
	}
	return found[0]
}

// TestNoPacketBetweenRules replaces rules under traffic. The old rules drop the port and the new ones
// rewrite it, so no packet may arrive at it.
func TestNoPacketBetweenRules(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	leaked, err := node.ListenUDP(n.Far, 7999)
	must(t, err)
	defer leaked.Close()
	drop, rewrite := direct([]any{rule("protocol", "udp", "port", 7999, "action", "drop")}), direct(tutorial())
	wantSuccess(t, plugin(t, c, "ADD", drop))
	conn, err := node.DialUDP(c.NS, far("IPv4", 7999))
	must(t, err)
	defer conn.Close()
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		count := 0
		for {
			select {
			case <-stop:
				sent <- count
				return
			default:
				// An error is fine: no server listens at 7998.
				_, _ = conn.Write([]byte("packet"))
				count++
			}
		}
	}()
	for i := range 20 {
		wantSuccess(t, plugin(t, c, "ADD", []map[string]any{rewrite, drop}[i%2]))
	}
	close(stop)
	t.Logf("%d packets were sent during 20 exchanges", <-sent)
	must(t, leaked.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	if _, from, err := leaked.ReadFromUDPAddrPort(make([]byte, 100)); err == nil {
		t.Errorf("a packet of %s passed between the old rules and the new", from)
	}
}
