package metrics

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// sampleAttachments returns attachments with this many rules each. One of them is damaged.
func sampleAttachments(count, rules int) []inspect.Attachment {
	list := make([]inspect.Attachment, count)
	for i := range list {
		a := inspect.Attachment{
			Network: "lab", Container: fmt.Sprint("c", i), Interface: "eth0", Device: fmt.Sprint("veth", i), Index: i + 2,
			Mode: "generic", TCHook: "tcx", Ruleset: fmt.Sprint("ruleset", i%2), Healthy: i != 1, AttachedAt: time.Unix(1000, 0),
			Programs: []inspect.Program{{Hook: "xdp", ID: 1}, {Hook: "tc_ingress", ID: 2}, {Hook: "tc_egress", ID: 3}},
			Counters: &inspect.Counters{Passed: 1, Rewritten: 2, Dropped: 3, RepliesRestored: 4, ICMPErrorsRestored: 5, Malformed: 6, PortsMoved: 7, FlowsEvicted: 8},
		}
		if i == 1 {
			a.ForeignAhead = []inspect.ForeignProgram{{Hook: "tc_egress"}, {Hook: "tc_egress"}}
		}
		for j := range rules {
			a.Rules = append(a.Rules, inspect.Rule{Index: j, Name: fmt.Sprint("rule-", j), Packets: 10, Bytes: 1000})
		}
		list[i] = a
	}
	return list
}

func registry(t *testing.T, list []inspect.Attachment, err error, limits Limits) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(NewCollector(func() ([]inspect.Attachment, error) { return list, err }, limits))
	return r
}

func TestMetricsPassTheLinter(t *testing.T) {
	r := registry(t, sampleAttachments(3, 3), nil, Limits{10, 10})
	r.MustRegister(NewAgent([]string{"conflist"}, []string{"changed"}))
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestMetrics(t *testing.T) {
	const want = `
# HELP xdp_port_attachment_healthy Whether the attachment is as ADD left it.
# TYPE xdp_port_attachment_healthy gauge
xdp_port_attachment_healthy{container="c0",interface="eth0",network="lab"} 1
xdp_port_attachment_healthy{container="c1",interface="eth0",network="lab"} 0
# HELP xdp_port_attachments Interfaces of containers that have rules.
# TYPE xdp_port_attachments gauge
xdp_port_attachments 2
# HELP xdp_port_foreign_programs_ahead Foreign tc programs that see packets before the rules and may keep packets from them.
# TYPE xdp_port_foreign_programs_ahead gauge
xdp_port_foreign_programs_ahead{container="c0",hook="tc_egress",interface="eth0",network="lab"} 0
xdp_port_foreign_programs_ahead{container="c0",hook="tc_ingress",interface="eth0",network="lab"} 0
xdp_port_foreign_programs_ahead{container="c1",hook="tc_egress",interface="eth0",network="lab"} 2
xdp_port_foreign_programs_ahead{container="c1",hook="tc_ingress",interface="eth0",network="lab"} 0
# HELP xdp_port_rulesets Distinct rulesets that are loaded.
# TYPE xdp_port_rulesets gauge
xdp_port_rulesets 2
# HELP xdp_port_rule_packets_total Packets that a rule decided.
# TYPE xdp_port_rule_packets_total counter
xdp_port_rule_packets_total{container="c0",interface="eth0",network="lab",rule="rule-0"} 10
xdp_port_rule_packets_total{container="c1",interface="eth0",network="lab",rule="rule-0"} 10
`
	r := registry(t, sampleAttachments(2, 1), nil, Limits{10, 10})
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "xdp_port_attachment_healthy",
		"xdp_port_attachments", "xdp_port_foreign_programs_ahead", "xdp_port_rulesets", "xdp_port_rule_packets_total"); err != nil {
		t.Error(err)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	list := sampleAttachments(20, 30)
	list = append(list, list[0]) // left by an interrupted change
	const want = `
# HELP xdp_port_attachments_left_out Interfaces beyond the limit of series, which have none of their own.
# TYPE xdp_port_attachments_left_out gauge
xdp_port_attachments_left_out 15
# HELP xdp_port_rule_bytes_total Bytes of whole frames of the packets that a rule decided.
# TYPE xdp_port_rule_bytes_total counter
`
	r := registry(t, list, nil, Limits{Attachments: 5, Rules: 2})
	var lines strings.Builder
	lines.WriteString(want)
	for i := range 5 {
		for rule, bytes := range map[string]int{"(other)": 28000, "rule-0": 1000, "rule-1": 1000} {
			fmt.Fprintf(&lines, "xdp_port_rule_bytes_total{container=\"c%d\",interface=\"eth0\",network=\"lab\",rule=%q} %d\n", i, rule, bytes)
		}
	}
	if err := testutil.GatherAndCompare(r, strings.NewReader(lines.String()),
		"xdp_port_attachments_left_out", "xdp_port_rule_bytes_total"); err != nil {
		t.Error(err)
	}
}

func TestUnreadableStateFailsTheScrape(t *testing.T) {
	broken := errors.New("no permission")
	if _, err := registry(t, nil, broken, Limits{}).Gather(); err == nil || !strings.Contains(err.Error(), broken.Error()) {
		t.Errorf("got %v", err)
	}
}
