package slo

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkLoad1000 loads a thousand files of two SLOs each.
func BenchmarkLoad1000(b *testing.B) {
	var files []File
	for i := range 1000 {
		files = append(files, File{Name: fmt.Sprintf("s%d.yaml", i), Text: fmt.Appendf(nil, `apiVersion: slowburn/v1
service: s%d
owner: team
labels: {tier: "1"}
links:
  runbook: https://runbooks.example.org/checkout
defaults: {objective: 99.9}
slos:
  - name: availability
    description: Requests answered without a server error.
    sli:
      events:
        bad: http_requests_total{job="checkout",code=~"5.."}
        total: http_requests_total{job="checkout"}
  - name: latency
    sli:
      latency:
        histogram: http_request_duration_seconds{job="checkout"}
        threshold: 300ms
`, i)})
	}
	b.ReportAllocs()
	for b.Loop() {
		require.Len(b, Load(files).SLOs, 2000)
	}
}
