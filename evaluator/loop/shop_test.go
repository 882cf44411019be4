package loop_test

import (
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom/shop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo/spec"
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

	var files []spec.File
	for name, text := range shop.Specs(opts.LiveStart) {
		files = append(files, spec.File{Name: name, Text: text})
	}
	set := spec.Load(files)
	require.Empty(t, set.Findings)
	require.GreaterOrEqual(t, len(set.SLOs), 8)
	for _, status := range evaluate(t, server.URL, set.SLOs, end).SLOs {
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
