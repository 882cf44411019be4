package backend

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics count requests, and the samples and failures of answers.
type metrics struct {
	requests *prometheus.CounterVec
	samples  *prometheus.CounterVec
	failed   *prometheus.CounterVec
	info     *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
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
