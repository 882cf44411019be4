package backend_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// BenchmarkHistory reads 30 days of 16 counters with a sample each 15 s from a real
// Prometheus, in pieces, by queries and by remote read. It reports the CPU time of both
// sides for each run.
func BenchmarkHistory(b *testing.B) {
	const days, series = 30, 16
	dir := b.TempDir()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, opts, nil)
	require.NoError(b, err)
	counts := make([]float64, series)
	for day := range days {
		app := db.Appender(b.Context())
		for i := range 24 * 240 {
			at := readStart.Add(time.Duration(day)*24*time.Hour + time.Duration(i)*15*time.Second)
			for s := range counts {
				counts[s] += float64((i*7 + s*13) % (s + 5))
				_, err := app.Append(0, labels.FromStrings("__name__", "requests_total", "job", "shop", "instance", fmt.Sprintf("10.0.0.%d:8080", s)), at.UnixMilli()+int64(s)*113, counts[s])
				require.NoError(b, err)
			}
		}
		require.NoError(b, app.Commit())
		require.NoError(b, db.Compact(b.Context()))
	}
	require.NoError(b, db.Close())
	prom := servers.Prometheus(b, servers.PrometheusOptions{Bin: servers.Newest(b), DataDir: dir})
	s, end := selectorOf("requests_total"), timeline.SlotEnd(readStart.Add(days*24*time.Hour).UnixMilli())
	for _, piece := range []timeline.Minute{5, 15, 60, 24 * 60, 5 * 24 * 60} {
		from := max(end-200*piece, end-days*24*60)
		for _, way := range []string{"query", "read"} {
			b.Run(fmt.Sprintf("piece=%dm/way=%s", piece, way), func(b *testing.B) {
				c := newClient(b, prom.URL, time.Now)
				client, server := ownCPU(b), serverCPU(b, prom.URL)
				samples := 0
				for b.Loop() {
					for at := from; at < end; at += piece {
						var answer []backend.Series
						var err error
						if way == "read" {
							answer, err = c.Samples(b.Context(), s, at, at+piece)
						} else {
							answer, err = c.Query(b.Context(), s.Range(time.Duration(piece)*time.Minute), (at + piece).Time())
						}
						require.NoError(b, err)
						for _, v := range answer {
							samples += len(v.Samples)
						}
					}
				}
				b.ReportMetric((ownCPU(b)-client)*1e9/float64(samples), "client-ns/sample")
				b.ReportMetric((serverCPU(b, prom.URL)-server)*1e9/float64(samples), "server-ns/sample")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// ownCPU returns the CPU time of this process, in seconds.
func ownCPU(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// serverCPU returns the CPU time of a Prometheus, in seconds.
func serverCPU(b *testing.B, url string) float64 {
	b.Helper()
	resp, err := http.Get(url + "/metrics")
	require.NoError(b, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b, err)
	found := regexp.MustCompile(`(?m)^process_cpu_seconds_total (.*)$`).FindSubmatch(text)
	require.NotNil(b, found)
	v, err := strconv.ParseFloat(string(found[1]), 64)
	require.NoError(b, err)
	return v
}
