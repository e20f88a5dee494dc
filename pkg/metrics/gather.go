package metrics

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// unreadable is why a Collector could read nothing.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// NewGatherer gathers what a Collector collects. An error is that of reading it,
// without the words that the client library puts around it.
func NewGatherer(collector *Collector) prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	return Gatherer{registry}
}

// Gatherer is one of the client library's whose errors users can read.
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
