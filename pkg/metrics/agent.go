package metrics

import "github.com/prometheus/client_golang/prometheus"

// Agent has the metrics of a node's agent. It is a collector.
type Agent struct {
	// Problem is 1 for each subject that has a problem now.
	Problem *prometheus.GaugeVec
	// Writes, Collected and Changes count writes of the conflist, attachments removed, and
	// changes of containers by outcome.
	Writes, Collected prometheus.Counter
	Changes           *prometheus.CounterVec
	// Drift is the number of interfaces with other rules than configured.
	Drift prometheus.Gauge
}

// NewAgent returns the metrics of an agent with these subjects of problems and outcomes of
// changes. All have a series from the start.
func NewAgent(subjects, outcomes []string) *Agent {
	a := &Agent{
		Problem:   prometheus.NewGaugeVec(prometheus.GaugeOpts(agentOpts("problem", "Whether the subject has a problem; /readyz says which.")), []string{"subject"}),
		Writes:    prometheus.NewCounter(agentOpts("conflist_writes_total", "How often xdp-port's entry was written into the conflist.")),
		Collected: prometheus.NewCounter(agentOpts("collected_total", "Attachments removed because their container was gone.")),
		Changes:   prometheus.NewCounterVec(agentOpts("changes_total", "Changes of running containers' rules by outcome."), []string{"outcome"}),
		Drift: prometheus.NewGauge(prometheus.GaugeOpts(agentOpts("drifted_attachments",
			"Interfaces that keep other rules than configured, because a change failed."))),
	}
	for _, subject := range subjects {
		a.Problem.WithLabelValues(subject)
	}
	for _, outcome := range outcomes {
		a.Changes.WithLabelValues(outcome)
	}
	return a
}

func agentOpts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: "xdp_port", Subsystem: "agent", Name: name, Help: help}
}

func (a *Agent) all() []prometheus.Collector {
	return []prometheus.Collector{a.Problem, a.Writes, a.Collected, a.Changes, a.Drift}
}

// Describe implements prometheus.Collector.
func (a *Agent) Describe(out chan<- *prometheus.Desc) {
	for _, metric := range a.all() {
		metric.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (a *Agent) Collect(out chan<- prometheus.Metric) {
	for _, metric := range a.all() {
		metric.Collect(out)
	}
}
