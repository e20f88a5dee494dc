// Package metrics exports attachments, counters and the agent's problems to Prometheus.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// Limits limit the number of series, so that a node with many containers and rules does not
// overload its Prometheus.
type Limits struct {
	// Attachments is the number of attachments with series of their own. Others are only
	// counted.
	Attachments int
	// Rules is the number of rules of each attachment with series of their own, the first in
	// order. The others are summed up as OtherRules.
	Rules int
}

// OtherRules is the rule label of the rules beyond the limit. No rule can have this name.
const OtherRules = "(other)"

// Collector reads all attachments at each scrape.
type Collector struct {
	read   func() ([]inspect.Attachment, error)
	limits Limits
}

// NewCollector returns a collector that calls read for the attachments, usually
// inspect.Attachments.
func NewCollector(read func() ([]inspect.Attachment, error), limits Limits) *Collector {
	return &Collector{read: read, limits: limits}
}

// The names of labels.
var (
	attachmentLabels = []string{"network", "container", "interface"}
	verdictLabels    = append(attachmentLabels[:3:3], "verdict")
	ruleLabels       = append(attachmentLabels[:3:3], "rule")
	hookLabels       = append(attachmentLabels[:3:3], "hook")
	infoLabels       = append(attachmentLabels[:3:3], "device", "mode", "tc_hook", "ruleset")
)

var (
	attachments = describe("attachments", "Interfaces of containers that have rules.")
	rulesets    = describe("rulesets", "Distinct rulesets that are loaded.")
	leftOut     = describe("attachments_left_out", "Interfaces beyond the limit of series, which have none of their own.")
	info        = describe("attachment_info", "An interface that has rules, and how they are attached.", infoLabels...)
	healthy     = describe("attachment_healthy", "Whether the attachment is as ADD left it.", attachmentLabels...)
	ahead       = describe("foreign_programs_ahead", "Foreign tc programs that see packets before the rules and may keep packets from them.", hookLabels...)
	attachedAt  = describe("attachment_created_timestamp_seconds", "When the programs were attached last, in seconds since the epoch.", attachmentLabels...)
	helped      = describe("attachment_checksum_helper", "Whether the programs fix up checksums with a helper, because they cannot read the kernel's packet buffer.", attachmentLabels...)
	packets     = describe("packets_total", "Packets by verdict.", verdictLabels...)
	portsMoved  = describe("ports_moved_total", "Connections that got another source port, because an older one has the same ports.", attachmentLabels...)
	noPort      = describe("ports_exhausted_total", "Packets dropped because no other source port was free.", attachmentLabels...)
	evicted     = describe("flows_evicted_total", "Flows of any container, expired or not, that were evicted for new flows of this container.", attachmentLabels...)
	evictedLive = describe("flows_evicted_live_total", "Flows of any container that were evicted for new flows of this container before they expired.", attachmentLabels...)
	rulePackets = describe("rule_packets_total", "Packets that a rule decided.", ruleLabels...)
	ruleBytes   = describe("rule_bytes_total", "Bytes of whole frames of the packets that a rule decided.", ruleLabels...)
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("xdp_port", "", name), help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		attachments, rulesets, leftOut, info, healthy, ahead, helped, attachedAt, packets,
		portsMoved, noPort, evicted, evictedLive, rulePackets, ruleBytes,
	} {
		out <- desc
	}
}

// Collect implements prometheus.Collector. If the attachments cannot be read the scrape fails,
// so that the node does not look as if it had no containers.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	list, err := c.read()
	if err != nil {
		out <- prometheus.NewInvalidMetric(attachments, unreadable{err})
		return
	}
	list = unique(list)
	loaded := map[string]bool{}
	for i := range list {
		loaded[list[i].Ruleset] = true
	}
	shown := list[:min(len(list), c.limits.Attachments)]
	gauge := sender{out, prometheus.GaugeValue}
	gauge.send(attachments, float64(len(list)))
	gauge.send(rulesets, float64(len(loaded)))
	gauge.send(leftOut, float64(len(list)-len(shown)))
	for i := range shown {
		c.attachment(out, &shown[i])
	}
}

// unique removes the second of two attachments of the same interface, which an interrupted
// change can leave: a series must not appear twice.
func unique(list []inspect.Attachment) []inspect.Attachment {
	seen := map[any]bool{}
	var kept []inspect.Attachment
	for i := range list {
		if key := list[i].Key(); !seen[key] {
			seen[key] = true
			kept = append(kept, list[i])
		}
	}
	return kept
}

// sender sends metrics of one type.
type sender struct {
	out  chan<- prometheus.Metric
	kind prometheus.ValueType
}

func (s sender) send(desc *prometheus.Desc, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(desc, s.kind, value, labels...)
}

func (c *Collector) attachment(out chan<- prometheus.Metric, a *inspect.Attachment) {
	gauge, counter := sender{out, prometheus.GaugeValue}, sender{out, prometheus.CounterValue}
	labels := []string{a.Network, a.Container, a.Interface}
	and := func(more ...string) []string { return append(labels[:3:3], more...) }
	gauge.send(info, 1, and(a.Device, a.Mode, a.TCHook, a.Ruleset)...)
	gauge.send(healthy, asFloat(a.Healthy), labels...)
	gauge.send(helped, asFloat(a.ChecksumHelper), labels...)
	for _, hook := range a.TCHooks() {
		gauge.send(ahead, float64(a.CountAhead(hook)), and(hook)...)
	}
	if !a.AttachedAt.IsZero() {
		gauge.send(attachedAt, float64(a.AttachedAt.UnixMilli())/1000, labels...)
	}
	if a.Counters == nil {
		return
	}
	for verdict, count := range a.Counters.ByVerdict() {
		counter.send(packets, float64(count), and(verdict)...)
	}
	counter.send(portsMoved, float64(a.Counters.PortsMoved), labels...)
	counter.send(noPort, float64(a.Counters.PortsExhausted), labels...)
	counter.send(evicted, float64(a.Counters.FlowsEvicted), labels...)
	counter.send(evictedLive, float64(a.Counters.FlowsEvictedLive), labels...)
	for _, rule := range c.limits.rules(a.Rules) {
		counter.send(rulePackets, float64(rule.Packets), and(rule.Name)...)
		counter.send(ruleBytes, float64(rule.Bytes), and(rule.Name)...)
	}
}

// rules returns the first rules and the sum of the others.
func (l Limits) rules(list []inspect.Rule) []inspect.Rule {
	if len(list) <= l.Rules {
		return list
	}
	other := inspect.Rule{Name: OtherRules}
	for _, rule := range list[l.Rules:] {
		other.Packets += rule.Packets
		other.Bytes += rule.Bytes
	}
	return append(list[:l.Rules:l.Rules], other)
}

func asFloat(flag bool) float64 {
	if flag {
		return 1
	}
	return 0
}

// unreadable is the reason why a Collector could read nothing.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }
