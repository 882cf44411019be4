package loop

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are about cycles and audits.
type metrics struct {
	cycles prometheus.Histogram
	audits *prometheus.CounterVec
	up     *prometheus.GaugeVec

	cached        *prometheus.CounterVec
	cacheFailures prometheus.Counter
	cacheSize     prometheus.Gauge
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
		cached: f.NewCounterVec(prometheus.CounterOpts{
			Name: "slowburn_cache_reads_total",
			Help: "Histories looked up in the cache at a start, by what came of it: used, absent or refused (damaged, too old, or of another version).",
		}, []string{"result"}),
		cacheFailures: f.NewCounter(prometheus.CounterOpts{
			Name: "slowburn_cache_write_failures_total", Help: "Writes of the cache that failed.",
		}),
		cacheSize: f.NewGauge(prometheus.GaugeOpts{
			Name: "slowburn_cache_size_bytes", Help: "Size of the cache, as last written.",
		}),
	}
}

// history registers a gauge of how much of the history is read.
func (m *metrics) history(reg prometheus.Registerer, progress func() float64) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "slowburn_history_read_ratio", Help: "How much of the history is read that new SLOs need; 1 when all is.",
	}, progress)
}
