package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboard = "../../deploy/grafana/xdp-port.json"

// promQL are words of queries that are neither metrics nor labels.
var promQL = strings.Fields("sum count max rate increase topk time vector by on or group_left label_values")

// TestDashboardAsksForWhatThereIs checks each word in the queries of the dashboard: it must be
// a metric, or a label of these metrics.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	metrics := labelsByMetric(t)
	queries := queriesOf(t)
	if len(queries) < 15 {
		t.Fatalf("only %d queries were found", len(queries))
	}
	var used []string
	for _, query := range queries {
		names := metricName.FindAllString(query, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for no metric", query)
		}
		known := []string{"instance"} // added by Prometheus
		for _, name := range names {
			labels, exists := metrics[name]
			if !exists {
				t.Errorf("%s: there is no metric %s", query, name)
			}
			known = append(known, labels...)
		}
		used = append(used, names...)
		bare := variable.ReplaceAllString(text.ReplaceAllString(query, ""), "")
		for _, word := range word.FindAllString(metricName.ReplaceAllString(bare, ""), -1) {
			if !slices.Contains(promQL, word) && !slices.Contains(known, word) {
				t.Errorf("%s: %s has no label %q", query, names, word)
			}
		}
	}
	for name := range metrics {
		if !slices.Contains(used, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

var (
	metricName = regexp.MustCompile(`\bxdp_port_[a-z_]+`)
	text       = regexp.MustCompile(`"[^"]*"`)
	variable   = regexp.MustCompile(`\[?\$[a-z_{}]+\]?`)
	word       = regexp.MustCompile(`[a-z_]+`)
)

// labelsByMetric returns the labels of each metric of the collectors.
func labelsByMetric(t *testing.T) map[string][]string {
	t.Helper()
	r := registry(t, sampleAttachments(1, 1), nil, Limits{10, 10})
	r.MustRegister(NewAgent([]string{"conflist"}, []string{"changed"}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, family := range families {
		labels[family.GetName()] = []string{}
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels[family.GetName()] = append(labels[family.GetName()], label.GetName())
		}
	}
	return labels
}

// queriesOf returns the queries of all panels and variables.
func queriesOf(t *testing.T) (queries []string) {
	t.Helper()
	raw, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, element := range v {
				walk(element)
			}
		case map[string]any:
			for key, member := range v {
				if query, is := member.(string); is && (key == "expr" || key == "query" && strings.Contains(query, "(")) {
					queries = append(queries, query)
				}
				walk(member)
			}
		}
	}
	walk(document)
	return queries
}
