package loop_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// A Loop evaluates SLOs on a backend, here an embedded Prometheus with one hour of samples
// of which one in ten is bad.
func ExampleLoop_EvaluateAt() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := memprom.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if err := db.Load(context.Background(), start, time.Minute, "all_total{job=\"shop\"} 0+10x60\nbad_total{job=\"shop\"} 0+1x60"); err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(db.Handler())
	defer server.Close()

	set := spec.Load([]spec.File{{Name: "shop.yaml", Text: []byte(`apiVersion: slowburn/v1
service: shop
slos: [{name: orders, objective: 90, window: 1h, sli: {events: {bad: bad_total, total: all_total}}}]
`)}})
	end := start.Add(time.Hour)
	l := loop.New(loop.Options{
		Backends: []backend.Config{{
			Name: "default", URL: server.URL, HTTP: server.Client(), Timeout: time.Minute,
			MaxConcurrency: 2, MaxSamples: 1e7, TargetLabels: []string{"job", "instance"},
		}},
		Windows:    func(s *slo.SLO) []slo.Window { return []slo.Window{s.Window.Length} },
		Log:        slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(),
		Now:        func() time.Time { return end },
	})
	report, err := l.EvaluateAt(context.Background(), set.SLOs, end)
	if err != nil {
		fmt.Println(err)
		return
	}
	own := report.SLOs[0].Windows[0]
	fmt.Printf("%s: %.0f of %.0f events are bad, burn rate %.1f\n", report.SLOs[0].ID, own.Bad, own.Total, *own.BurnRate)
	// Output: shop/orders: 60 of 600 events are bad, burn rate 1.0
}
