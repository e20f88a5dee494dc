package portctl

import (
	"testing"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// TestNumbersAreTrue sends 10,000 packets through each of three rules and wants
// them everywhere.
func TestNumbersAreTrue(t *testing.T) {
	const packets = 10_000
	n := newNode(t)
	must(t, n.Conflist(conflist("lab",
		object{"protocol": "udp", "port": 7999, "toPort": 7998, "oneWay": true, "name": "rewritten"},
		object{"protocol": "udp", "port": 25, "action": "drop", "name": "dropped"},
		object{"protocol": "udp", "port": 7000, "action": "pass", "name": "passed"},
	)))
	c := attach(t, n)
	for _, port := range []uint16{7999, 25, 7000} {
		send(t, c, port, packets)
	}
	a := showJSON(t, n, c)
	for i, rule := range a.Rules {
		if rule.Packets != packets || rule.Bytes != packets*(14+20+8+8) {
			t.Errorf("rule %d: %+v, want %d packets", i, rule, packets)
		}
	}
	if a.Counters.Rewritten != packets || a.Counters.Dropped != packets || a.Counters.Passed < packets {
		t.Errorf("%+v", a.Counters)
	}
	stats := decode[inspect.Stats](t, portctl(t, n, "stats", "--interval", "0", "-o", "json").want(t, 0))
	t.Logf("%+v", stats)
	t.Log(portctl(t, n, "list").want(t, 0))
	t.Log(portctl(t, n, "show", c.ID()[:10]).want(t, 0))
	t.Log(portctl(t, n, "stats").want(t, 0))
	t.Log(portctl(t, n, "flows", c.ID()).want(t, 0))
}
