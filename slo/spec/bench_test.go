package spec

import (
	"fmt"
	"testing"
)

// BenchmarkLoad1000 parses and checks 1,000 SLO files of two SLOs each.
func BenchmarkLoad1000(b *testing.B) {
	files := make([]File, 1000)
	for i := range files {
		files[i] = File{Name: fmt.Sprintf("slos/service-%d.yaml", i), Source: "slos", Text: fmt.Appendf(nil, `apiVersion: slowburn/v1
service: service-%[1]d
owner: team-%[1]d
labels: {tier: "1"}
links:
  runbook: https://runbooks.example.org/service-%[1]d
slos:
  - name: availability
    description: Requests answered without a server error.
    objective: 99.9
    sli:
      events:
        bad: http_requests_total{job="service-%[1]d",code=~"5.."}
        total: http_requests_total{job="service-%[1]d"}
  - name: latency
    objective: 99
    sli:
      latency:
        histogram: http_request_duration_seconds{job="service-%[1]d"}
        threshold: 300ms
`, i)}
	}
	b.ReportAllocs()
	for b.Loop() {
		if set := Load(files); len(set.SLOs) != 2000 || len(set.Findings) != 0 {
			b.Fatal(len(set.SLOs), set.Findings)
		}
	}
}
