package evaluator_test

import (
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/slo"
)

// TestAServiceAudits: in six hours of bursts, restarts and failed scrapes a service audits
// six times, and what it counted is in no doubt.
func TestAServiceAudits(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db, err := memprom.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	traffic(t, db, rand.New(rand.NewPCG(3, 4)), "r_total", begin.Add(-30*time.Hour), begin.Add(7*time.Hour), 20*time.Second)
	set := slo.Load([]slo.File{{Name: "slo.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: s\nslos:\n  - {name: a, window: 1h, objective: 99, sli: {events: {bad: 'r_total{code=\"500\"}', total: r_total}}}\n")}})
	require.Empty(t, set.Findings)
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		registry := prometheus.NewRegistry()
		o.Registerer = registry
		e := evaluator.New(o)
		e.SetSLOs(set.SLOs, nil)
		stop := run(t, e)
		defer stop()
		until(begin.Add(6*time.Hour + 45*time.Second))
		for _, d := range e.Report().SLOs[0].Doubts {
			require.NotEqual(t, evaluator.DoubtAudit, d.Code, d.Message)
		}
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
			# HELP slowburn_audits_total Counters of which an hour was held against the backend's own increase(), by what came of it: agrees, differs or failed.
			# TYPE slowburn_audits_total counter
			slowburn_audits_total{backend="backend0",result="agrees"} 6
		`), "slowburn_audits_total"))
	})
}
