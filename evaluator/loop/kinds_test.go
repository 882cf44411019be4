package loop_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// slosOf parses the SLOs of service shop, a YAML mapping each; objective 99 and
// window 1h unless they say otherwise.
func slosOf(t *testing.T, slos ...string) []*slo.SLO {
	t.Helper()
	text := "apiVersion: slowburn/v1\nservice: shop\ndefaults: {objective: 99, window: 1h}\nslos:\n"
	for _, s := range slos {
		text += "  - " + s + "\n"
	}
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte(text)}})
	for _, f := range set.Findings {
		require.NotEqual(t, yamlfile.Error, f.Severity, f.Text())
	}
	return set.SLOs
}

// countsOf are the events of the last hour before a minute, [bad, total], and how
// much of it is known, by the names of SLOs.
func countsOf(t *testing.T, series string, end int, slos ...string) map[string]evaluator.Status {
	t.Helper()
	server := httptest.NewServer(embedded(t, time.Minute, series).Handler())
	t.Cleanup(server.Close)
	out := map[string]evaluator.Status{}
	for _, s := range evaluate(t, server.URL, slosOf(t, slos...), at(end)).SLOs {
		require.NotEqual(t, evaluator.StateQueryFailed, s.State, s.StateReason)
		out[s.SLO] = s
	}
	return out
}

func requireCounts(t *testing.T, s evaluator.Status, bad, total, coverage float64) {
	t.Helper()
	own := s.Windows[len(s.Windows)-1]
	require.Equal(t, [3]float64{bad, total, coverage}, [3]float64{own.Bad, own.Total, own.Coverage}, "bad, total and coverage of %s", s.ID)
}

// TestProbe has three targets, of which b is down for ten minutes and c is gone
// after minute 30. Two scrapes later, from minute 33 on, that is bad where the
// absence of data is, up to minute 58, which is settled.
func TestProbe(t *testing.T) {
	r := countsOf(t, `
		up{job="shop",instance="a"} 1x60
		up{job="shop",instance="b"} 1x10 0x9 1x39
		up{job="shop",instance="c"} 1x30`, 60,
		`{name: ignored, sli: {probe: {metric: 'up{job="shop"}'}}}`,
		`{name: bad, on_no_data: bad, sli: {probe: {metric: 'up{job="shop"}'}}}`,
		`{name: none, sli: {probe: {metric: 'up{job="nobody"}'}}}`,
		`{name: gone, sli: {probe: {metric: 'up{instance="c"}'}}}`,
		`{name: dead, on_no_data: bad, sli: {probe: {metric: 'up{instance="c"}'}}}`)
	requireCounts(t, r["ignored"], 10, 60+60+30, 1)
	requireCounts(t, r["bad"], 10+26, 60+60+30+26, 1)
	requireCounts(t, r["none"], 0, 0, 0)
	require.Equal(t, evaluator.StateNoData, r["none"].State)
	require.Nil(t, r["none"].Budget.Remaining)
	requireCounts(t, r["gone"], 0, 30, 0.5)
	require.Equal(t, evaluator.StateNoData, r["gone"].State, "it is not shown as good")
	requireCounts(t, r["dead"], 26, 56, 56.0/60) // minutes 31 and 32 are known to nobody, 59 and 60 not yet
	require.Equal(t, evaluator.StateOK, r["dead"].State, "that it is gone is known")
	require.Less(t, *r["dead"].Budget.Remaining, -40.0)
}

// TestProbeOfSlowScrapes has a target that is scraped each 4 minutes.
func TestProbeOfSlowScrapes(t *testing.T) {
	r := countsOf(t, `up{job="shop",instance="a"} 1 _x3 1 _x3 1 _x3 1 _x3 0 _x3 0 _x3 1 _x3 1 _x3 1 _x3 1 _x3 1 _x3 1 _x3 1 _x3 1 _x3 1 _x3 1`, 60,
		`{name: up, sli: {probe: {metric: up}}}`)
	requireCounts(t, r["up"], 2, 15, 1)
}

// TestThreshold has a queue that is too long from minute 20 to 29, and another
// that is gone after minute 40: Prometheus goes on with its last sample for
// less than five minutes.
func TestThreshold(t *testing.T) {
	r := countsOf(t, `
		queue{name="a"} 5x19 50x9 5x30
		queue{name="b"} 50x40`, 60,
		`{name: a, sli: {threshold: {query: 'queue{name="a"}', op: "<", value: 50}}}`,
		`{name: exactly, sli: {threshold: {query: 'queue{name="a"}', op: "<=", value: 50}}}`,
		`{name: any, sli: {threshold: {query: queue, op: "<", value: 50}}}`,
		`{name: gone, sli: {threshold: {query: 'queue{name="b"}', op: ">=", value: 50}}}`,
		`{name: dead, on_no_data: bad, sli: {threshold: {query: 'queue{name="b"}', op: "==", value: 50}}}`,
		`{name: negative, sli: {threshold: {query: '-queue{name="a"}', op: ">", value: -50}}}`)
	requireCounts(t, r["a"], 10, 60, 1)
	requireCounts(t, r["exactly"], 0, 60, 1)
	requireCounts(t, r["any"], 44, 60, 1)
	requireCounts(t, r["gone"], 0, 44, 44.0/60)
	require.Equal(t, evaluator.StateNoData, r["gone"].State)
	requireCounts(t, r["dead"], 14, 58, 58.0/60) // minutes 59 and 60 may be late
	require.Equal(t, evaluator.StateOK, r["dead"].State)
	requireCounts(t, r["negative"], 10, 60, 1)
	require.Equal(t, "evaluated", r["a"].Method)
	require.True(t, r["a"].Exact)
}

// TestFreshness has a backup that succeeded at minute 0 and 20, and one whose
// host is gone after minute 10. 15 minutes after a success is too late.
func TestFreshness(t *testing.T) {
	zero := start.Unix()
	r := countsOf(t, fmt.Sprintf(`
		backup_success_timestamp_seconds{host="a"} %dx19 %dx40
		backup_success_timestamp_seconds{host="b"} %dx10`, zero, zero+20*60, zero), 60,
		`{name: a, sli: {freshness: {timestamp: 'backup_success_timestamp_seconds{host="a"}', max_age: 15m}}}`,
		`{name: b, sli: {freshness: {timestamp: 'backup_success_timestamp_seconds{host="b"}', max_age: 15m}}}`,
		`{name: all, sli: {freshness: {timestamp: 'backup_success_timestamp_seconds', max_age: 15m}}}`)
	requireCounts(t, r["a"], 4+25, 60, 1)
	requireCounts(t, r["b"], 45, 60, 1)
	require.Equal(t, evaluator.StateOK, r["b"].State)
	requireCounts(t, r["all"], 45, 60, 1)
}

// TestRuns has a job that is due each ten minutes and succeeds at minute 0, 10
// and 20, and another one whose host is gone after minute 15.
func TestRuns(t *testing.T) {
	zero := start.Unix()
	series := fmt.Sprintf(`
		job_success_timestamp_seconds{name="a"} %dx9 %dx9 %dx40
		job_success_timestamp_seconds{name="b"} %dx9 %dx5
		runs_total{result="ok"} 0x9 1x9 2x40
		runs_total{result="failed"} 0x40 1x19`, zero, zero+600, zero+1200, zero, zero+600)
	r := countsOf(t, series, 60,
		`{name: a, sli: {runs: {last_success: 'job_success_timestamp_seconds{name="a"}', every: 10m, grace: 2m}}}`,
		`{name: b, sli: {runs: {last_success: 'job_success_timestamp_seconds{name="b"}', every: 10m}}}`,
		`{name: both, sli: {runs: {last_success: job_success_timestamp_seconds, every: 10m, grace: 2m}}}`,
		`{name: counted, sli: {runs: {succeeded: 'runs_total{result="ok"}', failed: 'runs_total{result="failed"}'}}}`)
	requireCounts(t, r["a"], 3, 5, 1)        // not by minute 32, 42, 52
	requireCounts(t, r["b"], 5, 6, 1)        // not by minute 20, 30, ... 60
	requireCounts(t, r["both"], 3+4, 5+5, 1) // b not by minute 22, 32, 42, 52
	requireCounts(t, r["counted"], 1, 3, 1)
	require.Equal(t, evaluator.StateOK, r["b"].State, "it may be without runs for long")
}

// TestExpressions has 10 requests a minute, of which 1 fails, on either of two
// instances.
func TestExpressions(t *testing.T) {
	r := countsOf(t, `
		requests_total{instance="a",code="200"} 0+9x80
		requests_total{instance="b",code="200"} 0+9x80
		requests_total{instance="a",code="500"} 0+1x80
		requests_total{instance="b",code="500"} 0+1x80`, 80,
		`{name: sum, sli: {events: {bad: 'sum(rate(requests_total{code="500"}[$window]))', total: 'sum(rate(requests_total[$window]))'}}}`,
		`{name: difference, sli: {events: {bad: 'sum(increase(requests_total[$window])) - sum(increase(requests_total{code="200"}[$window]))', total: requests_total}}}`,
		`{name: weighted, sli: {events: {bad: '2 * sum(increase(requests_total{code="500"}[$window])) / 4', total: 'sum(rate(requests_total[$window]))'}}}`,
		`{name: added, sli: {events: {bad: 'sum(rate(requests_total{code="500"}[$window])) + sum(rate(requests_total{instance="a",code="500"}[$window]))', total: requests_total}}}`,
		`{name: largest, sli: {events: {bad: 'max(rate(requests_total{code="500"}[$window]))', total: 'sum(rate(requests_total[$window]))'}}}`)
	for name, bad := range map[string]float64{"sum": 120, "difference": 120, "weighted": 60, "added": 180, "largest": 60} {
		requireCounts(t, r[name], bad, 1200, 1)
	}
	require.Equal(t, [2]any{"raw", true}, [2]any{r["difference"].Method, r["difference"].Exact})
	require.Equal(t, [2]any{"evaluated", false}, [2]any{r["largest"].Method, r["largest"].Exact})
}

// TestNativeHistograms has 3 observations a minute up to 1 s and 5 between 1 s
// and 2 s. Where the threshold lies within a bucket, the events are taken to be
// spread evenly on a logarithmic scale, or evenly in a custom bucket.
func TestNativeHistograms(t *testing.T) {

	native := `{{schema:0 count:8 sum:10 buckets:[3 5]}}`
	custom := `{{schema:-53 count:8 sum:10 custom_values:[1 2.5] buckets:[3 5]}}`
	r := countsOf(t, fmt.Sprintf(`
		exponential_seconds{instance="a"} {{schema:0 count:0 sum:0 buckets:[0 0]}}+%sx80
		custom_seconds{instance="a"} {{schema:-53 count:0 sum:0 custom_values:[1 2.5] buckets:[0 0]}}+%sx80`, native, custom), 80,
		`{name: exact, sli: {latency: {histogram: exponential_seconds, threshold: 1s}}}`,
		`{name: within, sli: {latency: {histogram: exponential_seconds, threshold: 1.5s}}}`,
		`{name: top, sli: {latency: {histogram: exponential_seconds, threshold: 1m}}}`,
		`{name: custom, sli: {latency: {histogram: custom_seconds, threshold: 2.5s}}}`,
		`{name: inside, sli: {latency: {histogram: custom_seconds, threshold: 1.6s}}}`)
	requireCounts(t, r["exact"], 300, 480, 1)
	require.True(t, r["exact"].Exact)
	requireCounts(t, r["top"], 0, 480, 1)
	requireCounts(t, r["custom"], 0, 480, 1)
	require.True(t, r["custom"].Exact)
	within := r["within"].Windows[1]
	require.InDelta(t, 300*(1-0.5849625), within.Bad, 0.1) // log2(1.5)
	require.False(t, r["within"].Exact)
	inside := r["inside"].Windows[1]
	require.InDelta(t, 300*(1-0.6/1.5), inside.Bad, 0.1)
	require.False(t, r["inside"].Exact)
}

// TestAHistogramBecomesNative goes on counting where a process is not restarted:
// at minute 40 the classic histogram ends and the native one goes on.
func TestAHistogramBecomesNative(t *testing.T) {
	r := countsOf(t, `
		up{instance="a"} 1x80
		latency_seconds_bucket{instance="a",le="1.0"} 0+3x40
		latency_seconds_bucket{instance="a",le="+Inf"} 0+8x40
		latency_seconds_count{instance="a"} 0+8x40
		latency_seconds{instance="a"} _x41 {{schema:0 count:328 sum:10 buckets:[123 205]}}+{{schema:0 count:8 sum:10 buckets:[3 5]}}x39`, 80,
		`{name: latency, sli: {latency: {histogram: latency_seconds, threshold: 1s}}}`)
	requireCounts(t, r["latency"], 300, 480, 1)
	require.True(t, r["latency"].Exact)
}

// TestTimeSlices has 10 requests a minute. From minute 21 to 24 all fail, in
// minute 31 one does: of the slices of five minutes, that of minutes 21 to 25 is
// worse than 90 %, and that of 31 to 35 is not.
func TestTimeSlices(t *testing.T) {
	r := countsOf(t, `
		requests_total{code="200"} 0+10x20 200x3 210+10x5 269+10x30
		requests_total{code="500"} 0x20 10+10x3 40x5 41x29`, 60,
		`{name: five, budgeting: timeslices, slice: {length: 5m, target: 90}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: one, budgeting: timeslices, slice: {length: 1m, target: 90}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: strict, budgeting: timeslices, slice: {length: 1m, target: 90.1}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`)
	requireCounts(t, r["five"], 1, 12, 1)
	requireCounts(t, r["one"], 4, 60, 1)
	requireCounts(t, r["strict"], 5, 60, 1)
	require.Equal(t, "timeslices", r["five"].Budgeting)
	require.InDelta(t, 1/0.12, *r["five"].Budget.Consumed, 1e-12)
}

// TestSlicesWithoutData has no samples from minute 31 to 60. The last two may be
// late, and the others are bad where the absence of data is.
func TestSlicesWithoutData(t *testing.T) {
	r := countsOf(t, `requests_total{code="200"} 0+10x30`, 60,
		`{name: ignored, budgeting: timeslices, slice: {length: 5m, target: 90}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: bad, on_no_data: bad, budgeting: timeslices, slice: {length: 5m, target: 90}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`)
	requireCounts(t, r["ignored"], 0, 6, 0.5)
	requireCounts(t, r["bad"], 6, 12, 58.0/60)
}

// TestWorstOf has a shop whose requests fail from minute 11 to 20, whose queue is
// too long from minute 16 to 25, and whose backup is unknown from minute 46 on.
func TestWorstOf(t *testing.T) {
	r := countsOf(t, `
		requests_total{code="200"} 0+10x10 100x9 110+10x40
		requests_total{code="500"} 0x10 10+10x9 100x40
		queue 5x15 50x9 5x35
		backups 1x40`, 60,
		`{name: requests, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: queue, sli: {threshold: {query: queue, op: "<", value: 50}}}`,
		`{name: backups, sli: {threshold: {query: backups, op: "==", value: 1}}}`,
		`{name: journey, worst_of: [shop/requests, shop/queue]}`,
		`{name: whole, worst_of: [shop/journey, shop/backups]}`,
		`{name: strict, on_no_data: bad, worst_of: [shop/journey, shop/backups]}`)
	requireCounts(t, r["journey"], 15, 60, 1)
	requireCounts(t, r["whole"], 15, 44, 44.0/60)
	require.Equal(t, evaluator.StateNoData, r["whole"].State, "a part has none")
	requireCounts(t, r["strict"], 15+14, 58, 58.0/60) // minutes 59 and 60 may be late
}

// TestSlicesThatExclusionsTouch leaves out the slice of minutes 21 to 25 whole,
// of which two minutes are excluded; the one that ends where the exclusion begins
// counts.
func TestSlicesThatExclusionsTouch(t *testing.T) {
	r := countsOf(t, `
		requests_total{code="200"} 0+10x15 150x9 160+10x34
		requests_total{code="500"} 0x15 10+10x9 100x35`, 60,
		`{name: shop, budgeting: timeslices, slice: {length: 5m, target: 90}, exclude: [{from: "2026-11-20T00:20:00Z", to: "2026-11-20T00:22:00Z", reason: move}], sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`)
	requireCounts(t, r["shop"], 1, 11, 1)
	require.Equal(t, [3]float64{1, 1, 5}, [3]float64{r["shop"].Excluded.Bad, r["shop"].Excluded.Total, float64(r["shop"].Excluded.Slots)})
}

// TestPeriodsThatEndedExclude has a week whose only errors were excluded
// afterwards, in files whose SLOs are counted together.
func TestPeriodsThatEndedExclude(t *testing.T) {
	const day = 24 * 60
	// 2026-11-20, where the data begins, is a Friday.
	server := httptest.NewServer(embedded(t, time.Minute, fmt.Sprintf(`
		requests_total{code="200"} 0+10x%d
		requests_total{code="500"} 0x%d 10+10x59 600x%d`, 17*day, 5*day, 12*day)).Handler())
	defer server.Close()
	const sli = `window: {calendar: week, timezone: UTC}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}`
	slos := slosOf(t,
		`{name: all, `+sli+`}`,
		`{name: less, exclude: [{from: "2026-11-25T00:00:00Z", to: "2026-11-25T00:31:00Z", reason: move}], `+sli+`}`)
	end := at(16 * day) // a Sunday
	e := newEvaluator(server.URL, func() time.Time { return end.Add(time.Hour) })
	r, err := e.HistoryAt(t.Context(), slos, end)
	require.NoError(t, err)
	// The first hour of the 25th has 10 errors a minute, of which 31 minutes are excluded.
	for i, want := range [][2]float64{{600, 10*7*day + 600}, {290, 10*7*day + 600 - 31*20}} {
		s := r.SLOs[i]
		require.Len(t, s.Periods, 2, s.ID)
		require.Equal(t, "2026-W48", s.Periods[0].Name) // from Monday the 23rd to the end of Sunday the 29th
		require.Equal(t, want, [2]float64{s.Periods[0].Bad, s.Periods[0].Total})
		require.True(t, s.Periods[0].Complete)
		require.Equal(t, "2026-W47", s.Periods[1].Name)
		require.Equal(t, [2]float64{0, 10 * 3 * day}, [2]float64{s.Periods[1].Bad, s.Periods[1].Total})
		require.False(t, s.Periods[1].Complete)
	}
}

// TestExplainOfOtherKinds has proofs of what is not the increments of counters:
// the samples that were looked at, how they make events, and no check against
// increase().
func TestExplainOfOtherKinds(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, `
		up{instance="a"} 1x60
		requests_total{code="200"} 0+10x60`).Handler())
	defer server.Close()
	for note, s := range map[string]string{
		"each minute of a series counts, and is bad when any sample in it is 0":           `{name: a, sli: {probe: {metric: up}}}`,
		"a minute is bad unless all values of the query at its end are as they should be": `{name: a, sli: {threshold: {query: up, op: "==", value: 1}}}`,
		"a slice of 5m is bad when less than 90 % of its events are good":                 `{name: a, budgeting: timeslices, slice: {length: 5m, target: 90}, sli: ` + events + `}`,
		"the query is evaluated at the end of each minute, over more than that minute":    `{name: a, sli: {events: {good: 'max(rate(requests_total[$window]))', total: requests_total}}}`,
	} {
		p, err := newEvaluator(server.URL, func() time.Time { return at(120) }).Explain(t.Context(), slosOf(t, s)[0], at(60))
		require.NoError(t, err)
		require.Contains(t, strings.Join(p.Notes, "\n"), note)
		require.Empty(t, p.Checks)
		require.GreaterOrEqual(t, p.Samples.Count, 58, note)
		require.Equal(t, at(60), *p.Samples.Last)
		require.Equal(t, p.SLO.Windows[1].Total, p.Events.Total)
	}
}
