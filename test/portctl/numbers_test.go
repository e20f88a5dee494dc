package portctl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestNumbersAreTrue sends 10,000 packets through each of three rules and expects these numbers
// in all outputs, also after apply.
func TestNumbersAreTrue(t *testing.T) {
	const packets = 10_000
	names := []string{"rewritten", "dropped", "passed"}
	rules := func(more ...object) object {
		return conflist("lab", append([]object{
			{"protocol": "udp", "port": 7999, "toPort": 7998, "oneWay": true, "name": names[0]},
			{"protocol": "udp", "port": 25, "action": "drop", "name": names[1]},
			{"protocol": "udp", "port": 7000, "action": "pass", "name": names[2]},
		}, more...)...)
	}
	n := node.ForTest(t)
	must(t, n.Conflist(rules()))
	c := attach(t, n)
	for _, port := range []uint16{7999, 25, 7000} {
		send(t, c, port, packets)
	}
	wantEverywhere(t, n, c, names, packets)
	portctl(t, n, "apply", write(t, rules(object{"protocol": "tcp", "port": 25, "action": "drop", "name": "another"}))).want(t, 0)
	wantEverywhere(t, n, c, names, packets)
}

func wantEverywhere(t *testing.T, n *node.Node, c *node.Container, names []string, packets uint64) {
	t.Helper()
	const frame = 14 + 20 + 8 + 8 // bytes
	a := showJSON(t, n, c)
	if a.Counters.Rewritten != packets || a.Counters.Dropped != packets || a.Counters.Passed < packets {
		t.Errorf("show: %+v", a.Counters)
	}
	stats := decode[inspect.Stats](t, portctl(t, n, "stats", c.ID(), "-i", "0", "-o", "json").want(t, 0))
	if stats.Total.Rewritten != packets || stats.Total.Dropped != packets {
		t.Errorf("stats: %+v", stats.Total)
	}
	inStats := map[string]inspect.RuleStat{}
	for _, rule := range stats.Rules {
		inStats[rule.Name] = rule
	}
	show := portctl(t, n, "show", c.ID()).want(t, 0)
	table := portctl(t, n, "stats", c.ID(), "-i", "0").want(t, 0)
	metrics := portctl(t, n, "metrics").want(t, 0)
	for i, name := range names {
		if rule := a.Rules[i]; rule.Name != name || rule.Packets != packets || rule.Bytes != packets*frame {
			t.Errorf("show -o json: %+v", rule)
		}
		if rule := inStats[name]; rule.Packets != packets || rule.Bytes != packets*frame {
			t.Errorf("stats -o json: %+v", rule)
		}
		for what, text := range map[string]string{"show": show, "stats": table} {
			if !hasRow(text, name, fmt.Sprint(packets), fmt.Sprint(packets*frame)) {
				t.Errorf("%s has no row with %s and %d:\n%s", what, name, packets, text)
			}
		}
		series := fmt.Sprintf("xdp_port_rule_packets_total{container=%q,interface=\"eth0\",network=\"lab\",rule=%q} %d\n", c.ID(), name, packets)
		if !strings.Contains(metrics, series) {
			t.Errorf("no %s in\n%s", series, metrics)
		}
	}
}

// hasRow reports whether a line has all the words.
func hasRow(text string, words ...string) bool {
	for line := range strings.Lines(text) {
		found := 0
		fields := strings.Fields(line)
		for _, word := range words {
			for _, field := range fields {
				if field == word {
					found++
					break
				}
			}
		}
		if found == len(words) {
			return true
		}
	}
	return false
}
