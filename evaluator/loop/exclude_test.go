package loop_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/explain"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
)

// excludingFrom are SLOs that exclude something.
func excludingFrom(slos []*slo.SLO, list ...slo.Exclusion) []*slo.SLO {
	var out []*slo.SLO
	for _, s := range slos {
		s := *s
		s.Exclusions = list
		out = append(out, &s)
	}
	return out
}

// planned is time that is excluded, in minutes since the start.
func planned(from, to int) slo.Exclusion {
	return slo.Exclusion{
		From: at(from), To: at(to), Reason: "disks", Ticket: "CHG-1",
		Origin: slo.Origin{Source: "./slos", File: "slo.yaml", Line: 12},
	}
}

// asJSON is a report as scripts see it.
func asJSON(t *testing.T, r *evaluator.Report) string {
	t.Helper()
	out, err := json.Marshal(r)
	require.NoError(t, err)
	return string(out)
}

// TestExcludedNumbers: a service has 10 requests a minute, of which 5 fail in the
// slots 21 to 40. The slots 31 to 50 are excluded, by two that overlap.
func TestExcludedNumbers(t *testing.T) {
	db := embedded(t, time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+10x20 205+5x19 310+10x19
		requests_total{job="shop",instance="a",code="500"} 0+0x20 5+5x19 100+0x19`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	slos := excludingFrom(load(t, "1h", events), planned(30, 45), planned(40, 50), planned(-99, -9))
	s := evaluate(t, server.URL, slos, at(60)).SLOs[0]
	own := s.Windows[1]
	require.Equal(t, 400.0, own.Total)
	require.Equal(t, 50.0, own.Bad)
	require.Equal(t, 1.0, own.Coverage)
	require.InDelta(t, 12.5, *own.BurnRate, 1e-12)
	require.InDelta(t, 4, *s.Budget.Allowed, 1e-12)
	require.Equal(t, 200.0, s.Excluded.Total)
	require.Equal(t, 50.0, s.Excluded.Bad)
	require.Equal(t, 20, s.Excluded.Slots)
	require.False(t, s.Excluded.Now)
	require.NoError(t, excludedNow(s, 0))
	from, to := at(30), at(45)
	later, end := at(40), at(50)
	require.Equal(t, []evaluator.Exclusion{
		{From: &from, To: &to, Total: 150, Bad: 50, Slots: 15, Reason: "disks", Ticket: "CHG-1", Source: "./slos", File: "slo.yaml", Line: 12},
		{From: &later, To: &end, Total: 50, Slots: 5, Reason: "disks", Ticket: "CHG-1", Source: "./slos", File: "slo.yaml", Line: 12},
	}, s.Excluded.By)
	require.Len(t, s.Excluded.Spans, 1)
	left := 0.0
	for _, b := range s.History {
		left += b.Excluded * float64(time.Hour/time.Minute) / float64(len(s.History))
	}
	require.InDelta(t, 20, left, 1e-9)

	// All of the last 5 minutes: nobody can say what happened in them.
	s = evaluate(t, server.URL, slos, at(50)).SLOs[0]
	require.True(t, s.Excluded.Now)
	require.NoError(t, excludedNow(s, 1))
	require.Nil(t, s.Windows[0].BurnRate)
	require.Zero(t, s.Windows[0].Coverage)
	require.Equal(t, 0.0, s.Windows[0].Total)

	// The proof counts them, and what the backend says is of all.
	e := loop.New(options(server.URL, anHourAfter(at(60))))
	p, err := e.Explain(t.Context(), slos[0], at(60))
	require.NoError(t, err)
	require.Equal(t, 20, p.Slots.Excluded)
	require.Equal(t, explain.Counted{Total: 400, Good: 350, Bad: 50}, p.Events)
	for _, c := range p.Checks {
		require.Equal(t, map[string]float64{"bad": 100, "total": 600}[c.Counter], c.Counted)
		require.InDelta(t, 0, *c.Remainder, 1e-9)
	}
	require.Equal(t, []string{"20 slots are excluded, with 200 events, 50 of them bad: they hold nothing and don't count, but are among samples, findings and checks"}, p.Notes)
}

// gathererOf gives the metrics of a report in order, or what is wrong with them.
func gathererOf(r *evaluator.Report) prometheus.Gatherer {
	return prometheus.Gatherers{prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return slices.Collect(evaluator.Metrics(r)), nil })}
}

// excludedNow holds the metric of a status against a value.
func excludedNow(s evaluator.Status, want int) error {
	return testutil.GatherAndCompare(gathererOf(&evaluator.Report{SLOs: []evaluator.Status{s}}), strings.NewReader(fmt.Sprintf(`
		# HELP slo_excluded Whether the present is excluded; absent for SLOs without exclusions.
		# TYPE slo_excluded gauge
		slo_excluded{slo="slo0",slo_id="shop/slo0",slo_service="shop"} %d
	`, want)), "slo_excluded")
}

// TestAChangeOfTheObjective judges an instant by what was promised then.
func TestAChangeOfTheObjective(t *testing.T) {
	db := embedded(t, time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+9x120
		requests_total{job="shop",instance="a",code="500"} 0+1x120`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	slos := load(t, "1h", events) // 99 %
	ninety, err := slo.ParseObjective("90")
	require.NoError(t, err)
	slos[0].PastObjectives = []slo.PastObjective{{Until: at(90), Objective: ninety}}
	s := evaluate(t, server.URL, slos, at(90)).SLOs[0]
	require.Equal(t, 0.9, s.Objective)
	require.InDelta(t, 1, *s.Windows[0].BurnRate, 1e-12) // 10 % of 10 %
	require.InDelta(t, 60, *s.Budget.Allowed, 1e-12)
	s = evaluate(t, server.URL, slos, at(91)).SLOs[0]
	require.Equal(t, 0.99, s.Objective)
	require.InDelta(t, 10, *s.Windows[0].BurnRate, 1e-12)
	require.InDelta(t, 6, *s.Budget.Allowed, 1e-12)
}

// TestBudgetPolicy: of a budget of 6 bad events 3 are left.
func TestBudgetPolicy(t *testing.T) {
	db := embedded(t, time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+10x50 507+10x9
		requests_total{job="shop",instance="a",code="500"} 0+0x50 3+0x9`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	slos := load(t, "1h", events)
	slos[0].BudgetPolicy = []slo.BudgetStep{
		{Below: 0.75, Action: "look"}, {Below: 0.51, Action: "ask", Gate: slo.GateWarn}, {Below: 0, Action: "stop", Gate: slo.GateBlock},
	}
	s := evaluate(t, server.URL, slos, at(60)).SLOs[0]
	require.InDelta(t, 0.5, *s.Budget.Remaining, 1e-12)
	require.Equal(t, "warn", s.Gate)
	require.Equal(t, []evaluator.PolicyStep{
		{RemainingBelow: 0.75, Action: "look", Active: true},
		{RemainingBelow: 0.51, Action: "ask", Gate: "warn", Active: true},
		{RemainingBelow: 0, Action: "stop", Gate: "block"},
	}, s.Policy)
	slos[0].BudgetPolicy = slos[0].BudgetPolicy[:1]
	require.Empty(t, evaluate(t, server.URL, slos, at(60)).SLOs[0].Gate, "a step without a gate keeps it open")
	// Two hours later nothing is known, and tomorrow nothing can be read.
	s = evaluate(t, server.URL, slos, at(180)).SLOs[0]
	require.Nil(t, s.Budget.Remaining)
	require.Equal(t, evaluator.GateUnknown, s.Gate)
	server.Close()
	require.Equal(t, evaluator.GateUnknown, evaluate(t, server.URL, slos, at(60)).SLOs[0].Gate)
	slos[0].BudgetPolicy = nil
	require.Empty(t, evaluate(t, server.URL, slos, at(60)).SLOs[0].Gate)
}

// TestExclusionsThatComeLater are the same as those that were there all along, to
// the byte, for a process that follows for days and one that starts now. The history is
// read again once.
func TestExclusionsThatComeLater(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	service := truth.Scenarios()["hourly restarts"]
	from := begin.Add(-9 * 24 * time.Hour)
	w := truth.Simulate(service, from, begin.Add(30*time.Hour))
	db := servers.Embedded(t)
	hour := func(h float64) time.Time { return begin.Add(time.Duration(h * float64(time.Hour))) }
	list := []slo.Exclusion{
		{From: hour(-100.13), To: hour(-90.77)}, // among folded slots
		{From: hour(-95.4), To: hour(-88.2)},    // of which the first takes the most
		{From: hour(-70.5), To: hour(-69.9)},    // which are folded while the process is up
		{From: hour(-4.3), To: hour(-3.2)},
		{Intervals: []timeinterval.TimeInterval{{Times: []timeinterval.TimeRange{{StartMinute: 3*60 + 5, EndMinute: 3*60 + 25}}}}},
	}
	synctest.Test(t, func(t *testing.T) {
		samples := newArrivals(db, map[string]*truth.World{"": w}, from)
		samples.until(t, begin)
		var minutes atomic.Int64
		counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if text := r.FormValue("query"); strings.HasPrefix(text, "requests_total") {
				length, err := time.ParseDuration(text[strings.LastIndex(text, "[")+1 : strings.LastIndex(text, "]")])
				if err == nil {
					minutes.Add(int64(length / time.Minute))
				}
			}
			db.Handler().ServeHTTP(w, r)
		})
		plain := []*slo.SLO{specOf(t, service, "7d")}
		plain[0].Alerting.Policy = "classic" // which looks 14 days back, for alerts about the budget
		excluding := excludingFrom(plain, list...)
		all, later := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())), loop.New(live(slog.New(slog.DiscardHandler), counting))
		all.SetSLOs(excluding, nil)
		later.SetSLOs(plain, nil)
		defer run(t, all)()
		defer run(t, later)()
		for m := 1; m <= 26*60; m++ {
			now := begin.Add(time.Duration(m)*time.Minute + 29*time.Second)
			until(now)
			samples.until(t, now)
			until(now.Add(3 * time.Second))
			if m == 300 {
				before := *later.Report().SLOs[0].Budget.Allowed
				minutes.Store(0)
				later.SetSLOs(excluding, nil)
				until(now.Add(20 * time.Second))
				require.NotEqual(t, before, *later.Report().SLOs[0].Budget.Allowed)
				require.LessOrEqual(t, minutes.Load(), int64(15*24*60), "14 days and what is read before them, once")
			}
			if m >= 300 && m%97 == 0 || m == 300 {
				want := asJSON(t, all.Report())
				require.Equal(t, want, asJSON(t, later.Report()), "minute %d", m)
				r, err := loop.New(live(slog.New(slog.DiscardHandler), db.Handler())).EvaluateAt(t.Context(), excluding, all.Report().EvaluatedAt)
				require.NoError(t, err)
				require.Equal(t, want, asJSON(t, r), "minute %d", m)
				total, bad := w.Events(r.SLOs[0].Windows[len(r.SLOs[0].Windows)-1].Start, r.EvaluatedAt)
				own := r.SLOs[0].Windows[len(r.SLOs[0].Windows)-1]
				require.InEpsilon(t, total, own.Total+r.SLOs[0].Excluded.Total, within)
				require.InEpsilon(t, bad, own.Bad+r.SLOs[0].Excluded.Bad, within)
				parts := [3]float64{}
				for _, x := range r.SLOs[0].Excluded.By {
					parts[0], parts[1], parts[2] = parts[0]+x.Total, parts[1]+x.Bad, parts[2]+float64(x.Slots)
				}
				all := r.SLOs[0].Excluded
				require.Equal(t, [3]float64{all.Total, all.Bad, float64(all.Slots)}, parts)
			}
		}
		later.SetSLOs(plain, nil)
		until(time.Now().Add(time.Second))
		require.Zero(t, later.Report().SLOs[0].Excluded.Slots)
	})
}

// TestAnExclusionOfLostHistory cuts quarters that the backend has no longer. Its history
// is read again once, not each minute.
func TestAnExclusionOfLostHistory(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	from := begin.Add(-6 * 24 * time.Hour)
	scrape(t, db, 0, 1, from, begin.Add(3*time.Hour))
	synctest.Test(t, func(t *testing.T) {
		lossy := &forgetful{Handler: db.Handler()}
		var days atomic.Int64 // queries of a day
		e := loop.New(live(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.FormValue("query"), "[1d]") || strings.Contains(r.FormValue("query"), "[1440m]") {
				days.Add(1)
			}
			lossy.ServeHTTP(w, r)
		})))
		plain := load(t, "5d", events)
		e.SetSLOs(plain, nil)
		defer run(t, e)()
		until(begin.Add(10*time.Minute + 40*time.Second))
		whole := days.Load()
		require.Positive(t, whole)
		total := e.Report().SLOs[0].Windows[len(e.Report().SLOs[0].Windows)-1].Total
		lossy.forget(from, begin.Add(-48*time.Hour))
		e.SetSLOs(excludingFrom(plain, slo.Exclusion{From: begin.Add(-100*time.Hour - 7*time.Minute), To: begin.Add(-99 * time.Hour), Reason: "disks"}), nil)
		until(begin.Add(2*time.Hour + 40*time.Second))
		require.LessOrEqual(t, days.Load(), 2*whole)
		own := e.Report().SLOs[0].Windows[len(e.Report().SLOs[0].Windows)-1]
		require.Less(t, own.Total, total, "an hour and 7 minutes, or only the hour, are excluded")
		require.Greater(t, own.Total, total*(1-70./(5*24*60)))
	})
}

// TestAnExclusionKeepsPeriodsOfOthers that count the same: their months were read before,
// and nothing in them changed.
func TestAnExclusionKeepsPeriodsOfOthers(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	require.NoError(t, db.Load(t.Context(), begin.Add(-70*24*time.Hour), time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+10x101000
		requests_total{job="shop",instance="a",code="500"} 0+0x101000`))
	synctest.Test(t, func(t *testing.T) {
		e := loop.New(live(slog.New(slog.DiscardHandler), db.Handler()))
		const month = "window: {calendar: month, timezone: UTC}, sli: " + events + "}"
		plain := slosOf(t, "{name: a, "+month, "{name: b, "+month)
		e.SetSLOs(plain, nil)
		defer run(t, e)()
		until(begin.Add(10*time.Minute + 40*time.Second))
		require.Len(t, e.Report().SLOs[1].Periods, 3)
		excluding := excludingFrom(plain[:1], slo.Exclusion{From: begin.Add(-5*24*time.Hour - 7*time.Minute), To: begin.Add(-5 * 24 * time.Hour), Reason: "disks"})
		e.SetSLOs([]*slo.SLO{excluding[0], plain[1]}, nil)
		for m := 11; m < 15; m++ {
			until(begin.Add(time.Duration(m)*time.Minute + 20*time.Second))
			require.Len(t, e.Report().SLOs[1].Periods, 3, "minute %d", m)
		}
		require.Len(t, e.Report().SLOs[0].Periods, 3)
		require.NotZero(t, e.Report().SLOs[0].Periods[0].Total)
	})
}
