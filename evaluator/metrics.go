package evaluator

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// clientMetrics are about what backends answer.
type clientMetrics struct {
	requests *prometheus.CounterVec
	samples  *prometheus.CounterVec
	failed   *prometheus.CounterVec
	info     *prometheus.GaugeVec
}

func newClientMetrics(reg prometheus.Registerer) *clientMetrics {
	f := promauto.With(reg)
	return &clientMetrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_requests_total", Help: "Queries sent to a backend, by outcome.",
		}, []string{"backend", "outcome"}),
		samples: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_samples_total", Help: "Samples that a backend answered with.",
		}, []string{"backend"}),
		failed: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_failed_readings_total", Help: "Readings that a fault of slowburn ended, with the stack in the log.",
		}, []string{"backend"}),
		info: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slowburn_backend_info", Help: "1, with what a backend is; absent before it answered.",
		}, []string{"backend", "kind", "version"}),
	}
}

// readerMetrics are about what is counted.
type readerMetrics struct {
	refused *prometheus.CounterVec
	births  *prometheus.CounterVec
	late    *prometheus.CounterVec
}

func newReaderMetrics(reg prometheus.Registerer) *readerMetrics {
	f := promauto.With(reg)
	return &readerMetrics{
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_backend_refused_series_total", Help: "Series in answers with samples that no number of events can have, which were left out.",
		}, []string{"backend"}),
		births: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_births_total",
			Help: "Counters that appeared or fell: counted from zero on evidence, or ambiguous and counted as nothing.",
		}, []string{"result"}),
		late: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_slots_changed_late_total",
			Help: "Slots whose counts late data changed: while they settled, or found by reading them again.",
		}, []string{"when"}),
	}
}

// metrics are about cycles and audits.
type metrics struct {
	cycles prometheus.Histogram
	audits *prometheus.CounterVec
	up     *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		cycles: f.NewHistogram(prometheus.HistogramOpts{
			Name: "slowburn_cycle_duration_seconds", Help: "Time to evaluate all SLOs once.",
			Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30, 60, 120},
		}),
		audits: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_audits_total",
			Help: "Counters of which an hour was held against the backend's own count, by what came of it: agrees, differs or failed.",
		}, []string{"backend", "result"}),
		up: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "slowburn_backend_up", Help: "Whether a backend answered at all in the last cycle.",
		}, []string{"backend"}),
	}
}

// history registers a gauge of how much of the history is read.
func (m *metrics) history(reg prometheus.Registerer, progress func() float64) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "slowburn_history_read_ratio", Help: "How much of the history is read that new SLOs need; 1 when all is.",
	}, progress)
}
