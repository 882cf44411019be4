// Package history reads the data of a plan from a backend, counts it, and keeps it in a
// Record, from which the next read continues. Reader.Advance is the entry point. It
// chooses the methods, sends the queries, counts the answers, resolves what needs start
// times, and stores the result. The loop decides when that happens.
package history

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"golang.org/x/time/rate"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
)

// Reader reads the data of plans from a backend.
type Reader struct {
	*backend.Client
	Metrics   *Metrics
	NewStarts newStarts
	budget    *rate.Limiter // of samples of history
}

// NewReader returns a reader of a backend.
func NewReader(b backend.Config, o backend.Shared, m *Metrics) *Reader {
	budget := rate.NewLimiter(rate.Inf, math.MaxInt32)
	if n := b.MaxSamplesPerSecond; n > 0 {
		budget = rate.NewLimiter(rate.Limit(n), n)
	}
	return &Reader{Client: backend.New(b, o), Metrics: m, budget: budget}
}

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
