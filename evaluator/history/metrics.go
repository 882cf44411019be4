package history

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count events that need attention while counting.
type Metrics struct {
	refused *prometheus.CounterVec
	births  *prometheus.CounterVec
	Late    *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	return &Metrics{
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_refused_series_total", Help: "Series in answers with samples that no number of events can have, which were left out.",
		}, []string{"backend"}),
		births: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_births_total",
			Help: "Counters that appeared or fell: counted from zero on evidence, or ambiguous and counted as nothing.",
		}, []string{"result"}),
		Late: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_slots_changed_late_total",
			Help: "Slots whose counts late data changed: while they settled, or found by reading them again.",
		}, []string{"when"}),
	}
}
