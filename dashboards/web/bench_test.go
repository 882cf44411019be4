package web_test

import (
	"testing"

	"github.com/slowburn-slo/slowburn/dashboards/web"
	"github.com/slowburn-slo/slowburn/evaluator"
)

// BenchmarkAnswers10000 makes each answer about 10,000 SLOs for a new report, and sends it again
// for the same report.
func BenchmarkAnswers10000(b *testing.B) {
	report := many(b, 10_000)
	for _, path := range []string{"/metrics", "/api/v1/slos", "/"} {
		made := func() *evaluator.Report {
			r := *report
			return &r
		}
		again := func() *evaluator.Report { return report }
		for what, from := range map[string]func() *evaluator.Report{"made": made, "again": again} {
			b.Run(path+" "+what, func(b *testing.B) {
				h := handler(nil, func(o *web.Options) { o.Report = from })
				size := get(h, path).Body.Len()
				b.ReportAllocs()
				for b.Loop() {
					size = get(h, path, "Accept-Encoding", "gzip").Body.Len()
				}
				b.ReportMetric(float64(size), "sent-bytes")
			})
		}
	}
}
