package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// NewGatherer returns a Gatherer of one Collector.
func NewGatherer(collector *Collector) prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	return Gatherer{registry}
}

// Gatherer returns errors of a Collector without the text that the client library adds.
type Gatherer struct{ prometheus.Gatherer }

// Gather implements prometheus.Gatherer.
func (g Gatherer) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.Gatherer.Gather()
	var reason unreadable
	if errors.As(err, &reason) {
		return families, reason.error
	}
	return families, err
}
