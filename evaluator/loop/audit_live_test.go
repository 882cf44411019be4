package loop_test

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// TestAServiceAudits: a service audits the two last hours when it starts, and one each 67
// minutes. In six hours of bursts, restarts and failed scrapes that are eight, of two
// counters each, and what it counted is in no doubt.
func TestAServiceAudits(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := servers.Embedded(t)
	traffic(t, db, rand.New(rand.NewPCG(3, 4)), "r_total", begin.Add(-30*time.Hour), begin.Add(7*time.Hour), 20*time.Second)
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: s\nslos:\n  - {name: a, window: 1h, objective: 99, sli: {events: {bad: 'r_total{code=\"500\"}', total: r_total}}}\n")}})
	require.Empty(t, set.Findings)
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		registry := prometheus.NewRegistry()
		o.Registerer = registry
		e := loop.New(o)
		e.SetSLOs(set.SLOs, nil)
		stop := run(t, e)
		defer stop()
		until(begin.Add(6*time.Hour + 45*time.Second))
		for _, d := range e.Report().SLOs[0].Doubts {
			require.NotEqual(t, evaluator.DoubtAudit, d.Code, d.Message)
		}
		require.Equal(t, 2*(2+6), audits(t, registry))
	})
}

// doubling answers increases twice as large as they are.
type doubling struct{ http.Handler }

func (d doubling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if q := r.FormValue("query"); strings.Contains(q, "increase(") {
		r.Form.Set("query", "2 * "+q)
	}
	d.Handler.ServeHTTP(w, r)
}

// TestAuditsOfAProcessThatStarts: it is in the doubts of one that is up for long within
// three minutes, with the same words, also about groups; and both are no longer when the
// backend agrees.
func TestAuditsOfAProcessThatStarts(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := database(t)
	traffic(t, db, rand.New(rand.NewPCG(3, 4)), "r_total", begin.Add(-30*time.Hour), begin.Add(6*time.Hour), 20*time.Second)
	slos := slosOf(t, `{name: a, group_by: [code], sli: {events: {bad: 'r_total{code="500"}', total: r_total}}}`,
		`{name: b, budgeting: timeslices, slice: {length: 5m, target: 99}, sli: {events: {bad: 'r_total{code="500"}', total: r_total}}}`)
	synctest.Test(t, func(t *testing.T) {
		up := func() *loop.Loop {
			o := live(slog.New(slog.DiscardHandler), doubling{db.Handler()})
			e := loop.New(o)
			e.SetSLOs(slos, nil)
			return e
		}
		long := up()
		defer run(t, long)()
		for _, at := range []time.Duration{3*time.Hour + 7*time.Minute, 4 * time.Hour} {
			until(begin.Add(at))
			fresh := up()
			stop := run(t, fresh)
			until(begin.Add(at + 3*time.Minute + 40*time.Second))
			stop()
			for i, s := range long.Report().SLOs {
				require.Equal(t, s.Doubts, fresh.Report().SLOs[i].Doubts, s.ID)
				require.Contains(t, codesOf(s.Doubts), evaluator.DoubtAudit, s.ID)
			}
			require.Len(t, fresh.Report().SLOs, 4, "two groups")
		}
	})
}

func codesOf(doubts []evaluator.Doubt) (codes []evaluator.DoubtCode) {
	for _, d := range doubts {
		codes = append(codes, d.Code)
	}
	return codes
}

// TestWhoAsksOnceAudits: who evaluates once has the doubts of a service, and check finds them.
func TestWhoAsksOnceAudits(t *testing.T) {
	db := embedded(t, time.Minute, "requests_total{code=\"200\"} 0+100x1500\nrequests_total{code=\"500\"} 0+1x1500")
	for _, doubled := range []bool{false, true} {
		handler := db.Handler()
		if doubled {
			handler = doubling{handler}
		}
		server := httptest.NewServer(handler)
		defer server.Close()
		o := options(server.URL, func() time.Time { return at(1501) })
		o.NewJudge, o.Lookback = alerting.BuiltIn().NewJudge, alerting.BuiltIn().Lookback
		r, err := loop.New(o).EvaluateAt(t.Context(), slosOf(t, `{name: a, sli: `+events+`}`), at(1500))
		require.NoError(t, err)
		require.Equal(t, doubled, slices.Contains(codesOf(r.SLOs[0].Doubts), evaluator.DoubtAudit))
		concerns, err := newEvaluator(server.URL, func() time.Time { return at(1501) }).Inspect(t.Context(), slosOf(t, `{name: a, sli: `+events+`}`))
		require.NoError(t, err)
		require.Equal(t, doubled, slices.ContainsFunc(concerns, func(c slo.Finding) bool {
			return strings.Contains(c.Message, "60 bad events were counted, and increase() gives 120") || strings.Contains(c.Message, "6060 total events were counted, and increase() gives 12120")
		}), "%v", concerns)
	}
}
