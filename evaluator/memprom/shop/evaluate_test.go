package shop_test

import (
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom/shop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	slospec "github.com/slowburn-slo/slowburn/slo/spec"
)

// TestShopAgainstTheTruth counts 30 days of each of the shop's services, their
// quiet nights, restarts, outages of scraping and errors born late, and holds
// the counts against what really happened.
func TestShopAgainstTheTruth(t *testing.T) {
	const within = 0.02 // of the bad events, over the SLO's window
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	opts := shop.Options{Seed: 7, HistoryStart: end.Add(-30*24*time.Hour - 2*time.Hour), LiveStart: end.Add(24 * time.Hour)}
	s := shop.New(opts)
	db := servers.Embedded(t)
	require.NoError(t, s.Advance(t.Context(), db, end.Add(5*time.Minute)))
	server := httptest.NewServer(db.Handler())
	defer server.Close()

	var files []slospec.File
	for name, text := range shop.Specs(opts.LiveStart) {
		files = append(files, slospec.File{Name: name, Text: text})
	}
	set := slospec.Load(files)
	require.Empty(t, set.Findings)
	require.GreaterOrEqual(t, len(set.SLOs), 8)
	e := loop.New(loop.Options{
		Backends: []backend.Config{{
			Name: "shop", URL: server.URL, HTTP: http.DefaultClient, Settle: 2 * time.Minute,
			Timeout: time.Minute, MaxConcurrency: 4, MaxSamples: 50_000_000, TargetLabels: []string{"job", "instance"},
		}},
		Windows: alerting.BuiltIn().Windows, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Now: func() time.Time { return end.Add(time.Hour) },
	})
	report, err := e.EvaluateAt(t.Context(), set.SLOs, end)
	require.NoError(t, err)
	for _, status := range report.SLOs {
		own := status.Windows[len(status.Windows)-1]
		total, bad := s.Truth(status.Service, strings.TrimPrefix(status.ID, status.Service+"/"), own.Start, own.End)
		t.Logf("%-30s bad %9.0f of %11.0f, truth %9.0f of %11.0f: %+.3f %%", status.ID, own.Bad, own.Total, bad, total, 100*(own.Bad/bad-1))
		require.Positive(t, bad, status.ID)
		require.Less(t, math.Abs(own.Bad-bad)/bad, within, status.ID)
		require.Less(t, math.Abs(own.Total-total)/total, within, status.ID)
		require.NotNil(t, status.Budget.Remaining, status.ID)
		for _, w := range status.Windows {
			if w.BurnRate != nil {
				require.False(t, math.IsNaN(*w.BurnRate), "%s %s", status.ID, w.Name)
			}
		}
	}
}
