package backtest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// each is true for a length from an offset on, in every period; all in seconds.
func each(period, offset, length int64) func(truth.Time) bool {
	return func(t truth.Time) bool { return (t.Now+period-offset)%period < length }
}

// episodesOf backtests three days of a service's raw counters, of 40 requests a
// second in all unless it says so, with an objective of 99.9 % over 30 d.
func episodesOf(t *testing.T, service truth.Service) []TestResult {
	t.Helper()
	service.Job, service.Interval, service.Instances = "shop", 30, 4
	if service.Rate == nil {
		service.Rate = func(truth.Time) float64 { return 10 }
	}
	end := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	start := end.Add(-72 * time.Hour)
	db := servers.Embedded(t)
	for _, s := range truth.Simulate(service, start, end).Series {
		var samples []memprom.Sample
		for _, x := range s.Samples {
			samples = append(samples, memprom.Sample{Time: time.UnixMilli(x.T), Value: x.V})
		}
		require.NoError(t, db.Add(t.Context(), s.Labels, samples...))
	}
	server := httptest.NewServer(db.Handler())
	defer server.Close()

	set := spec.Load([]spec.File{{Name: "shop.yaml", Text: []byte(`
apiVersion: slowburn/v1
service: shop
slos:
  - {name: availability, objective: 99.9, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}
`)}})
	require.Empty(t, set.Findings)
	p := alerting.BuiltIn()
	b := &Replay{Policies: p, Names: []string{"default", "classic"}, From: timeline.MinuteOf(start.Add(6 * time.Hour)), To: timeline.MinuteOf(end) - 5}
	e := loop.New(loop.Options{
		Backends: []backend.Config{{
			Name: "default", URL: server.URL, HTTP: http.DefaultClient, Settle: 2 * time.Minute, Timeout: time.Minute,
			MaxConcurrency: 1, MaxSamples: 50_000_000, TargetLabels: []string{"job", "instance"},
		}},
		Windows: p.Windows, NewJudge: p.NewJudge, Lookback: b.Lookback, PageWindow: p.PageWindow,
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: func() time.Time { return end },
	})
	report, err := b.Run(t.Context(), e, set.SLOs)
	require.NoError(t, err)
	require.Len(t, report.Results, 2)
	require.Greater(t, report.SLOs[0].Total, 1e6)
	return report.Results
}

// TestWhatOperatorsDoIsNoIncident: from raw counters to alerts, with half of what is
// allowed failing all the time.
func TestWhatOperatorsDoIsNoIncident(t *testing.T) {
	const hour = 3600
	half := func(truth.Time) float64 { return 0.0005 }
	for name, service := range map[string]truth.Service{
		"deploys":       {Replace: each(2*hour, 1815, 5)},
		"restarts":      {Restart: func(t truth.Time, i int) bool { return t.Now%hour == 1205+int64(i)*35 }},
		"crash loop":    {Restart: func(t truth.Time, i int) bool { return i == 0 && t.Now%300 == 95 }},
		"outages":       {Down: each(12*hour, 2*hour, 25*60)},
		"long outage":   {Down: each(72*hour, 30*hour, 5*hour)},
		"partial":       {Past: 5e6, Partial: each(6*hour, hour, 30)},
		"relabelled":    {Past: 5e6, Relabel: func(t truth.Time) []string { return []string{"version", string(rune('a' + t.Now/(12*hour)))} }},
		"two scrapers":  {Scrapers: []truth.Scraper{{Active: each(12*hour, 0, 6*hour)}, {Phase: 5, Lag: 10, Active: each(12*hour, 6*hour, 6*hour)}}},
		"idle at night": {Rate: func(t truth.Time) float64 { return map[bool]float64{false: 15}[t.Hour() < 6] }},
	} {
		service.Bad = half
		for _, r := range episodesOf(t, service) {
			require.Empty(t, r.Episodes, "%s, %s", name, r.Policy)
		}
	}

	// What failed while nobody scraped is in the counters when they are read again.
	out := each(72*hour, 30*hour, 25*60)
	failing := truth.Service{Down: out, Bad: func(t truth.Time) float64 { return map[bool]float64{true: 0.3, false: 0.0005}[out(t)] }}
	var pages []Episode
	for _, e := range episodesOf(t, failing)[0].Episodes {
		if e.Severity == slo.Page {
			pages = append(pages, e)
		}
	}
	require.Len(t, pages, 1)
	// 3 days before the end and 30 hours is the 18th at 6:00; scraped again at 6:25.
	back := time.Date(2026, 11, 18, 6, 25, 0, 0, time.UTC)
	require.WithinRange(t, pages[0].Start, back, back.Add(2*time.Minute))
}
