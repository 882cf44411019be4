package loop_test

import (
	"fmt"
	"log/slog"
	"math"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// TestGroupsOfOddValues keeps groups apart whose values joined by commas are the
// same, with an objective for both.
func TestGroupsOfOddValues(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `
		req{a="a,b",b="c",code="200"} 0+10x60
		req{a="a",b="b,c",code="200"} 0+20x60`).Handler())
	defer server.Close()
	r := evaluate(t, server.URL, slosOf(t, `{name: g, group_by: [a, b], sli: {events: {bad: 'req{code="500"}', total: req}}}`), at(60))
	require.Len(t, r.SLOs, 3)
	requireCounts(t, r.SLOs[1], 0, 1200, 1)
	requireCounts(t, r.SLOs[2], 0, 600, 1)
}

// TestSumsOfTwoSplits counts one counter in sums of targets for two SLOs, of which
// one is split.
func TestSumsOfTwoSplits(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `
		req{job="a",instance="1",tenant="x",code="200"} 0+10x60
		req{job="a",instance="1",tenant="y",code="200"} 0+10x60`).Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return at(120) })
	o.Backends[0].Method = evaluator.MethodAggregated
	r, err := loop.New(o).EvaluateAt(t.Context(), slosOf(t,
		`{name: a, sli: {events: {bad: 'req{code="500"}', total: req}}}`,
		`{name: b, group_by: [tenant], sli: {events: {bad: 'req{code="500"}', total: req}}}`), at(60))
	require.NoError(t, err)
	require.Len(t, r.SLOs, 4)
	for i, total := range []float64{1200, 1200, 600, 600} {
		require.Equal(t, total, r.SLOs[i].Windows[1].Total, r.SLOs[i].ID)
	}
}

// TestTimesThatAreNone refuses timestamps in milliseconds and of the future: they are no
// times of the last success, fresh ones least of all.
func TestTimesThatAreNone(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, fmt.Sprintf(`
		backup_ms %dx60
		backup_future %dx60`, start.UnixMilli(), start.Unix()+1_000_000)).Handler())
	defer server.Close()
	r := evaluate(t, server.URL, slosOf(t,
		`{name: future, sli: {freshness: {timestamp: backup_future, max_age: 15m}}}`,
		`{name: ms, sli: {freshness: {timestamp: backup_ms, max_age: 15m}}}`,
		`{name: runs, sli: {runs: {last_success: backup_ms, every: 15m}}}`), at(60))
	ms := fmt.Sprintf("backup_ms gives %d, which is a time in milliseconds, not in seconds", start.UnixMilli())
	for i, reason := range []string{"backup_future gives 2026-12-01T13:46:40Z, which is in the future", ms, ms} {
		requireCounts(t, r.SLOs[i], 0, 0, 0)
		require.Equal(t, evaluator.StateQueryFailed, r.SLOs[i].State)
		require.Contains(t, r.SLOs[i].StateReason, reason)
	}
}

// TestNativeHistogramsGetCoarser has a histogram whose resolution halves, as client
// libraries do by themselves: the threshold was a boundary and is none any more.
// What was estimated before and after does not compare; what comes then counts.
func TestNativeHistogramsGetCoarser(t *testing.T) {
	r := countsOf(t, `
		a_seconds{instance="a"} {{schema:1 count:8000 sum:10 offset:1 buckets:[3000 5000]}}x29 {{schema:0 count:8010 sum:10 offset:1 buckets:[8000 10]}}+{{schema:0 count:10 sum:10 offset:1 buckets:[0 10]}}x30
		b_seconds{instance="a"} {{schema:1 count:8000 sum:10 offset:1 buckets:[4100 3900]}}x29 {{schema:0 count:8010 sum:10 offset:0 buckets:[10 8000]}}+{{schema:0 count:10 sum:10 offset:0 buckets:[10 0]}}x30`, 60,
		`{name: slow, sli: {latency: {histogram: a_seconds, threshold: 1.4142135623730951}}}`,
		`{name: quick, sli: {latency: {histogram: b_seconds, threshold: 1.4142135623730951}}}`)
	requireCounts(t, r["slow"], 300, 300, 59.0/60) // the slot of the change is not known
	requireCounts(t, r["quick"], 0, 300, 59.0/60)
}

// TestNativeHistogramsWithEmptyBuckets: in minute 30 the first two observations of each
// minute come to lie within the bucket of the threshold, which was empty before. 62
// are in it until minute 60, beside 4 a minute in the one below.
func TestNativeHistogramsWithEmptyBuckets(t *testing.T) {
	r := countsOf(t, `
		a_seconds{instance="a"} {{schema:0 count:4 sum:1 buckets:[4]}}+{{schema:0 count:4 sum:1 buckets:[4]}}x29 {{schema:0 count:126 sum:1 buckets:[124 2]}}+{{schema:0 count:6 sum:1 buckets:[4 2]}}x30
		b_seconds{instance="a"} {{schema:-53 count:4 sum:1 custom_values:[1 2.5] buckets:[4]}}+{{schema:-53 count:4 sum:1 custom_values:[1 2.5] buckets:[4]}}x29 {{schema:-53 count:126 sum:1 custom_values:[1 2.5] buckets:[124 2]}}+{{schema:-53 count:6 sum:1 custom_values:[1 2.5] buckets:[4 2]}}x30
		c_seconds{instance="a"} {{schema:0 count:0 sum:0 buckets:[0]}}x29 {{schema:0 count:2 sum:1 buckets:[0 2]}}+{{schema:0 count:2 sum:1 buckets:[0 2]}}x30`, 60,
		`{name: exponential, sli: {latency: {histogram: a_seconds, threshold: 1.5}}}`,
		`{name: custom, sli: {latency: {histogram: b_seconds, threshold: 2}}}`,
		`{name: idle, sli: {latency: {histogram: c_seconds, threshold: 1.5}}}`)
	for name, want := range map[string][2]float64{
		"exponential": {62 * (1 - math.Log2(1.5)), 302}, "custom": {62 * 0.5 / 1.5, 302}, "idle": {62 * (1 - math.Log2(1.5)), 62},
	} {
		own := r[name].Windows[1]
		require.Equal(t, want[1], own.Total, name)
		require.InDelta(t, want[0], own.Bad, 31.0/2048, name) // slots hold 1,024ths
		require.Equal(t, 1.0, own.Coverage, name)
		require.False(t, r[name].Exact)
	}
}

// TestNumbersThatAreNone leaves out what no counter can be, and a minute of an
// expression that has no total or no finite number.
func TestNumbersThatAreNone(t *testing.T) {
	r := countsOf(t, `
		req{code="200",instance="a"} 0x90
		req{code="500",instance="a"} 0+10x90
		req{code="200",instance="b"} 0x30 18446744073709551615 0x59
		err 0+10x90
		all 0+10x20 _x20 600+10x50`, 90,
		`{name: garbage, sli: {events: {bad: 'req{code="500"}', total: req}}}`,
		`{name: missing, sli: {events: {bad: 'max(rate(err[$window]))', total: 'max(rate(all[$window]))'}}}`,
		`{name: infinite, sli: {events: {bad: 'max(rate(err[$window])) / 0', total: 'max(rate(err[$window]))'}}}`)
	require.Nil(t, r["infinite"].Windows[len(r["infinite"].Windows)-1].SLI, "how many were bad is not known")
	requireCounts(t, r["garbage"], 600, 600, 1)
	own := r["missing"].Windows[1]
	require.LessOrEqual(t, own.Bad, own.Total)
}

// TestTimesOfSuccessThatDip counts each success once, although a query of the
// newest loses sight of it at times.
func TestTimesOfSuccessThatDip(t *testing.T) {
	zero := start.Unix()
	r := countsOf(t, fmt.Sprintf(`done_seconds %dx9 %dx9 %dx3 %dx9 %dx3 %dx33`, zero, zero+600, zero, zero+600, zero, zero+600), 60,
		`{name: a, sli: {runs: {last_success: done_seconds, every: 2h}}}`)
	requireCounts(t, r["a"], 0, 1, 1)
}

// TestLateIsNotGone has samples that come up to two minutes late, and scrapes five
// minutes apart, where what is gone is bad: nothing is.
func TestLateIsNotGone(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, every := range map[string]time.Duration{"late": 30 * time.Second, "slow": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			db := database(t)
			add := func(from, to time.Time) {
				for _, metric := range []string{"up", "requests_total"} {
					var samples []memprom.Sample
					for at := from; !at.After(to); at = at.Add(every) {
						v := 1.0
						if metric != "up" {
							v = at.Sub(begin.Add(-30 * time.Hour)).Minutes()
						}
						samples = append(samples, memprom.Sample{Time: at, Value: v})
					}
					if len(samples) > 0 {
						require.NoError(t, db.Add(t.Context(), labels.FromStrings(model.MetricNameLabel, metric, "job", "shop", "instance", "a"), samples...))
					}
				}
			}
			add(begin.Add(-30*time.Hour), begin)
			synctest.Test(t, func(t *testing.T) {
				e := loop.New(live(slog.New(slog.DiscardHandler), db.Handler()))
				e.SetSLOs(slosOf(t,
					`{name: up, on_no_data: bad, sli: {probe: {metric: up}}}`,
					`{name: slices, on_no_data: bad, budgeting: timeslices, slice: {length: 1m, target: 90}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
					`{name: journey, on_no_data: bad, worst_of: [shop/up]}`), nil)
				defer run(t, e)()
				came := begin
				for m := range 40 {
					now := begin.Add(time.Duration(m)*time.Minute + 20*time.Second)
					until(now)
					late := time.Duration(0)
					if every < time.Minute {
						late = time.Duration(m%3) * 45 * time.Second
					}
					if to := now.Add(-late).Truncate(every); to.After(came) {
						add(came.Add(every), to)
						came = to
					}
					until(now.Add(20 * time.Second))
					for _, s := range e.Report().SLOs {
						require.Zero(t, s.Windows[len(s.Windows)-1].Bad, "%s at minute %d", s.ID, m)
						require.Empty(t, s.Alerts)
					}
				}
			})
		})
	}
}

// TestValuesThatSettleLate has a settle time longer than what samples are waited
// for.
func TestValuesThatSettleLate(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := database(t)
	var samples []memprom.Sample
	for at := begin.Add(-2 * time.Hour); at.Before(begin.Add(2 * time.Hour)); at = at.Add(30 * time.Second) {
		samples = append(samples, memprom.Sample{Time: at, Value: 1})
	}
	require.NoError(t, db.Add(t.Context(), labels.FromStrings(model.MetricNameLabel, "queue"), samples...))
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		o.Backends[0].Settle = 15 * time.Minute
		e := loop.New(o)
		e.SetSLOs(slosOf(t, `{name: queue, on_no_data: bad, sli: {threshold: {query: queue, op: "==", value: 1}}}`), nil)
		defer run(t, e)()
		until(begin.Add(40*time.Minute + 40*time.Second))
		s := e.Report().SLOs[0]
		requireCounts(t, s, 0, 60, 1)
		require.Empty(t, s.Alerts)
	})
}

// TestAGroupThatOutgrowsAndIsLeft has a tenant that gets too many series in the
// minute in which another takes its place within the limit.
func TestAGroupThatOutgrowsAndIsLeft(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := database(t)
	add := func(tenant string, pods int, from time.Time) {
		for i := range pods {
			var samples []memprom.Sample
			for at := from; at.Before(begin.Add(2 * time.Hour)); at = at.Add(30 * time.Second) {
				samples = append(samples, memprom.Sample{Time: at, Value: float64(len(samples))})
			}
			l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", fmt.Sprint(tenant, from.Unix(), i), "tenant", tenant, "code", "200")
			require.NoError(t, db.Add(t.Context(), l, samples...))
		}
	}
	add("m", 2, begin.Add(-30*time.Hour))
	add("z", 2, begin.Add(-30*time.Hour))
	add("z", 30, begin.Add(30*time.Minute))
	add("a", 2, begin.Add(30*time.Minute))
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		o.NewJudge, o.PageWindow = nil, alerting.BuiltIn().PageWindow
		o.Backends[0].MaxSeries = 20
		e := loop.New(o)
		e.SetSLOs(slosOf(t, `{name: g, group_by: [tenant], groups: {limit: 2}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`), nil)
		defer run(t, e)()
		until(begin.Add(45 * time.Minute))
		r := e.Report()
		require.Len(t, r.SLOs, 3)
		for _, s := range r.SLOs {
			require.Equal(t, evaluator.MethodAggregated, s.Method, s.ID)
			require.Equal(t, evaluator.StateOK, s.State, s.StateReason)
		}
		require.Equal(t, []string{"a", "m"}, []string{r.SLOs[1].Group["tenant"], r.SLOs[2].Group["tenant"]})
	})
}

// TestExplainAWhole counts the evidence of an SLO that is split once.
func TestExplainAWhole(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `
		requests_total{job="shop",instance="a",tenant="x",code="200"} 0+10x90
		requests_total{job="shop",instance="a",tenant="x",code="500"} _x60 7+0x30
		requests_total{job="shop",instance="a",tenant="y",code="200"} 0+10x90`).Handler())
	defer server.Close()
	slos := slosOf(t, `{name: split, group_by: [tenant], sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`)
	p, err := newEvaluator(server.URL, func() time.Time { return at(120) }).Explain(t.Context(), slos[0], at(90))
	require.NoError(t, err)
	require.Len(t, p.Findings.List, 1)
	require.Equal(t, counting.FindBirth, p.Findings.List[0].Kind)
	require.Equal(t, 60+60+31, p.Samples.Count)
	for _, c := range p.Checks {
		require.InDelta(t, 0, *c.Remainder, 1e-6, c.Counter)
	}
}

// TestExplainNativeHistograms has no check by series that are not there.
func TestExplainNativeHistograms(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute,
		`latency_seconds{instance="a"} {{schema:0 count:0 sum:0 buckets:[0 0]}}+{{schema:0 count:8 sum:10 buckets:[3 5]}}x80`).Handler())
	defer server.Close()
	p, err := newEvaluator(server.URL, func() time.Time { return at(120) }).Explain(t.Context(),
		slosOf(t, `{name: a, sli: {latency: {histogram: latency_seconds, threshold: 1s}}}`)[0], at(80))
	require.NoError(t, err)
	require.Empty(t, p.Checks)
	require.Contains(t, p.Notes, "native histograms are counted as the classic series that would say the same; there is no direct query to check them by")
	answered := 0
	for _, q := range p.Queries {
		answered += q.Samples
	}
	require.GreaterOrEqual(t, answered, 80)
}
