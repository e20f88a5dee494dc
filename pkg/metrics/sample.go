package metrics

import dto "github.com/prometheus/client_model/go"

// Sample is one series and its value.
type Sample struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

// Samples lists the series of metrics.
func Samples(families []*dto.MetricFamily) []Sample {
	list := []Sample{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			s := Sample{Name: family.GetName(), Labels: map[string]string{}}
			for _, label := range m.GetLabel() {
				s.Labels[label.GetName()] = label.GetValue()
			}
			s.Value = m.GetGauge().GetValue() + m.GetCounter().GetValue() // one of them is 0
			list = append(list, s)
		}
	}
	return list
}
