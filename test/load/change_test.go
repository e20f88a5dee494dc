package load

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestRuleChange replaces the rules of a running container repeatedly while the container
// sends as fast as it can. No version of the rules lets a packet arrive at the port that
// it was sent to.
func TestRuleChange(t *testing.T) {
	to := func(port int) map[string]any {
		return map[string]any{"protocol": "udp", "port": 7999, "toPort": port}
	}
	drop := map[string]any{"protocol": "udp", "port": 7999, "action": "drop"}
	for name, tt := range map[string]struct {
		tcHook, mode string
		rules        [2]map[string]any
	}{
		"rewrite/tcx":    {"tcx", "generic", [2]map[string]any{to(7998), to(7997)}},
		"rewrite/clsact": {"clsact", "generic", [2]map[string]any{to(7998), to(7997)}},
		"rewrite/native": {"tcx", "native", [2]map[string]any{to(7998), to(7997)}},
		"rewrite/tc":     {"tcx", "tc", [2]map[string]any{to(7998), to(7997)}},
		"drop/tcx":       {"tcx", "generic", [2]map[string]any{to(7998), drop}},
		"drop/clsact":    {"clsact", "generic", [2]map[string]any{to(7998), drop}},
		"drop/native":    {"tcx", "native", [2]map[string]any{to(7998), drop}},
	} {
		t.Run(name, func(t *testing.T) {
			testRuleChange(t, config(tt.tcHook), tt.mode, tt.rules)
		})
	}
}

func testRuleChange(t *testing.T, base map[string]any, mode string, rules [2]map[string]any) {
	n, containers := newNode(t, 1)
	c := containers[0]
	configs := [2]map[string]any{maps.Clone(base), maps.Clone(base)}
	for i := range configs {
		configs[i]["mode"], configs[i]["rules"] = mode, []any{rules[i]}
	}
	must(t, run(c, "ADD", configs[0]))
	arrivals := countArrivals(t, n)
	crowd := startSenders(t, c, node.FarIPv4, 7999)
	begin, changes := time.Now(), size(6, 200)
	var err error
	for i := range changes {
		err = errors.Join(err, run(c, "ADD", configs[(i+1)%2]))
	}
	sent, took := crowd.stop(t), time.Since(begin)
	must(t, err)
	t.Logf("%d changes in %s, %d packets sent, %.0f a second; %d arrived at 7998, %d at 7997, %d at 7999", changes,
		took.Round(time.Millisecond), sent, float64(sent)/took.Seconds(), arrivals.at(7998), arrivals.at(7997), arrivals.at(7999))
	if leaked := arrivals.at(7999); leaked > 0 {
		t.Errorf("%d packets passed with neither the old nor the new rules", leaked)
	}
	if arrived := arrivals.at(7998) + arrivals.at(7997); arrived == 0 || arrived > uint64(sent) {
		t.Errorf("%d packets arrived of %d", arrived, sent)
	}
	must(t, run(c, "DEL", configs[0]))
}
