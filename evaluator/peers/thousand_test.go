package peers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/truth"
)

// BenchmarkThousand runs slowburn with 1,000 SLOs over 30 d beside a Prometheus
// that scrapes four counters for each every 30 s, and reports what a cycle takes
// of both. To write the data within a minute, all but its last day has a sample
// every 5 min.
func BenchmarkThousand(b *testing.B) {
	const n, cycles = 1000, 3
	begin := time.Now().UTC().Truncate(time.Minute)
	var series []*truth.Series
	var jobs []string
	for i := range n {
		jobs = append(jobs, fmt.Sprintf("service%d", i))
		for _, instance := range []string{"a", "b"} {
			series = append(series, counter(jobs[i], instance, "200", begin, 40), counter(jobs[i], instance, "500", begin, 0.01))
		}
	}
	data, specs := b.TempDir(), b.TempDir()
	writeBlock(b, data, begin, series)
	require.NoError(b, os.WriteFile(filepath.Join(specs, "slos.yaml"), specsOf(jobs), 0o600))
	server := prometheus(b, data, nil)
	ctx, cancel := context.WithCancel(b.Context())
	fed := make(chan struct{})
	go func() { defer close(fed); newFeeder(series, begin, server.URL).run(ctx, b) }()
	time.Sleep(time.Minute) //nolint:forbidigo // nobody asks yet
	quiet := scrape(b, server.URL)
	time.Sleep(time.Minute) //nolint:forbidigo // this minute is measured
	ingesting := scrape(b, server.URL)[cpuSeconds] - quiet[cpuSeconds]
	asked := time.Now()
	url := serve(b, specs, server.URL)
	require.Eventually(b, func() bool { return scrape(b, url)["slo_data_state ok"] == n }, 8*time.Minute, 500*time.Millisecond)
	right := time.Since(asked)
	history := [2]metrics{scrape(b, server.URL), scrape(b, url)}
	wait := time.Until(time.Now().Truncate(time.Minute).Add(time.Minute + 15*time.Second))
	time.Sleep(wait) //nolint:forbidigo // between two cycles

	from := [2]metrics{scrape(b, server.URL), scrape(b, url)}
	time.Sleep(cycles * time.Minute) //nolint:forbidigo // this time is measured
	to := [2]metrics{scrape(b, server.URL), scrape(b, url)}
	cancel()
	<-fed
	const took = "slowburn_cycle_duration_seconds"
	done := to[1][took+"_count"] - from[1][took+"_count"]
	require.InDelta(b, cycles, done, 1)
	per := func(i int, name string) float64 { return (to[i][name] - from[i][name]) / done }
	keep(b, "thousand.md", machine(b)+fmt.Sprintf(`

1,000 SLOs over 30 d of 4 series each, beside a Prometheus on the same cores, a cycle a minute:

| | |
|---|--:|
| a cycle, from its begin to the report | %.2f s |
| CPU of slowburn, a cycle | %.2f s |
| CPU of the Prometheus, a cycle | %.2f s |
| of it for ingesting | %.2f s |
| samples loaded, a cycle | %.0f |
| memory of slowburn | %.0f MiB |
| memory of the Prometheus | %.0f MiB |
| all budgets right after | %.0f s |
| samples loaded for the history | %.0f million |
| CPU of slowburn for it | %.0f s |
`, per(1, took+"_sum"), per(1, cpuSeconds), per(0, cpuSeconds), ingesting, per(0, loaded), to[1][resident]/(1<<20), to[0][resident]/(1<<20),
		right.Seconds(), (history[0][loaded]-quiet[loaded])/1e6, history[1][cpuSeconds]))
}

// counter grows by so many a second, from 32 days before begin until half an
// hour after it.
func counter(job, instance, code string, begin time.Time, rate float64) *truth.Series {
	s := &truth.Series{Labels: labels.FromStrings(model.MetricNameLabel, "requests_total", "job", job, "instance", instance, "code", code)}
	phase := int64(s.Labels.Hash() % 5000)
	start := begin.Add(-31 * 24 * time.Hour).Unix()
	for t := start; t < begin.Unix()+1800; {
		s.Samples = append(s.Samples, truth.Sample{T: t*1000 + phase, V: float64(int64(float64(t-start) * rate))})
		if t < begin.Unix()-86400 {
			t += 300
		} else {
			t += 30
		}
	}
	return s
}
