package loop_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/explain"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
)

// eventful is an hour of four instances, scraped each minute from minute 0 on.
// What happens in (0, 60]:
//
//	a  600 requests, and an error series that is born at minute 20 with 7
//	b  300 requests, a restart with 4 at minute 31, 290 more; its error series
//	   ends at 5 before that, and is reborn at minute 40 with 9
//	c  600 requests, with no scrape for 21 minutes
//	d  200 requests; then it has other labels, with 1210 that say nothing, and
//	   390 more
const eventful = `
	requests_total{job="shop",instance="a",code="200"} 0+10x60
	requests_total{job="shop",instance="a",code="500"} _x20 7+0x40
	requests_total{job="shop",instance="b",code="200"} 500+10x30 4+10x29
	requests_total{job="shop",instance="b",code="500"} 5+0x30 _x9 9+0x20
	requests_total{job="shop",instance="c",code="200"} 0+10x10 _x20 310+10x29
	requests_total{job="shop",instance="d",code="200"} 1000+10x20
	requests_total{job="shop",instance="d",code="200",zone="x"} _x21 1210+10x39`

func proofOf(t *testing.T, o loop.Options, window string, end time.Time) *explain.Proof {
	t.Helper()
	o.Registerer = prometheus.NewRegistry()
	p, err := loop.New(o).Explain(t.Context(), load(t, window, events)[0], end)
	require.NoError(t, err)
	return p
}

func anHourAfter(end time.Time) func() time.Time {
	return func() time.Time { return end.Add(time.Hour) }
}

func TestExplain(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, eventful).Handler())
	defer server.Close()
	p := proofOf(t, options(server.URL, anHourAfter(at(60))), "1h", at(60))

	require.Equal(t, at(0), p.Start)
	require.Equal(t, at(60), p.End)
	require.Equal(t, explain.Slots{Count: 60, Known: 60, Coverage: 1, Single: 60}, p.Slots)
	// a 607, b 300 + 4 + 290 + 9, c 600, d 590.
	require.Equal(t, explain.Counted{Total: 2400, Bad: 16, Good: 2384}, p.Events)
	require.Equal(t, 7, p.Samples.Series)
	require.Equal(t, 60+41+60+30+21+10+30+20+40, p.Samples.Count)
	require.Equal(t, at(1), *p.Samples.First)
	require.Equal(t, at(60), *p.Samples.Last)

	series := func(instance, code string) map[string]string {
		return map[string]string{"__name__": "requests_total", "job": "shop", "instance": instance, "code": code}
	}
	relabelled := series("d", "200")
	relabelled["zone"] = "x"
	both := []string{"bad", "total"}
	require.Equal(t, []counting.Finding{
		{Time: at(20), Kind: counting.FindBirth, Series: series("a", "500"), Counts: both, Events: 7},
		{Time: at(21), Kind: counting.FindAmbiguous, Series: relabelled, Counts: both[1:], NotCounted: 1210},
		{Time: at(31), Kind: counting.FindReset, Series: series("b", "200"), Counts: both[1:], Events: 4},
		{Time: at(31), Kind: counting.FindGap, Series: series("c", "200"), Counts: both[1:], Seconds: 21 * 60},
		{Time: at(40), Kind: counting.FindRebirth, Series: series("b", "500"), Counts: both, Events: 9},
	}, p.Findings.List)
	type by = map[string]float64
	require.Equal(t, []explain.KindSummary{
		{Kind: counting.FindReset, Count: 1, Events: by{"total": 4}},
		{Kind: counting.FindBirth, Count: 1, Events: by{"bad": 7, "total": 7}},
		{Kind: counting.FindRebirth, Count: 1, Events: by{"bad": 9, "total": 9}},
		{Kind: counting.FindAmbiguous, Count: 1, Events: by{"total": 1210}},
		{Kind: counting.FindDip, Events: by{}},
		{Kind: counting.FindGap, Count: 1, Events: by{}, Longest: 21 * 60},
	}, p.Findings.Kinds)
	require.Zero(t, p.Findings.LeftOut)
	require.Empty(t, p.Notes)
}

func TestExplainArithmetic(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, eventful).Handler())
	defer server.Close()
	p := proofOf(t, options(server.URL, anHourAfter(at(60))), "1h", at(60))
	// 1 % of 2400 may be bad, 24; 16 are.
	want := map[string]float64{
		"coverage": 1, "good": 2384, "sli": 1 - 16.0/2400, "burn_rate": 2.0 / 3, "allowed": 24, "consumed": 2.0 / 3, "remaining": 1.0 / 3,
	}
	require.Len(t, p.Arithmetic, len(want))
	for _, step := range p.Arithmetic {
		require.InDelta(t, want[step.Name], *step.Value, 1e-12, step.Name)
		for name := range step.Inputs {
			require.Contains(t, step.Formula, name)
		}
	}
	require.Equal(t, map[string]float64{"bad": 16, "allowed": 24}, p.Arithmetic[5].Inputs)
}

// TestExplainCheck works out what Prometheus' increase() returns for each series in
// (0, 60]. Its first sample is a minute after the start, so it adds a minute at the
// rate of the 59 that it has.
func TestExplainCheck(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, eventful).Handler())
	defer server.Close()
	p := proofOf(t, options(server.URL, anHourAfter(at(60))), "1h", at(60))
	require.Len(t, p.Checks, 2)
	last := p.Queries[len(p.Queries)-2:]
	require.Equal(t, backend.Query{Query: `sum(increase(requests_total{code="500"}[1h]))`, Time: at(60), Series: 1, Samples: 1}, last[0])
	require.Equal(t, backend.Query{Query: `sum(increase(requests_total[1h]))`, Time: at(60), Series: 1, Samples: 1}, last[1])

	// a's errors are 7 all along: nothing. b's rise from 5 to 9, four in 59 min.
	bad := p.Checks[0]
	require.Equal(t, "bad", bad.Counter)
	require.Equal(t, 16.0, bad.Counted)
	require.InDelta(t, 4*60.0/59, *bad.Direct, 1e-9)
	holds(t, bad, map[string]float64{"births": 7, "restarts": 9 - 4, "extrapolation": -4.0 / 59})

	// Of b's requests 290 + 4 + 290 are seen. d's old series ends, and its new
	// one begins: half of a minute is added there. Each but the born ones grew
	// by 10 in the first minute.
	total := p.Checks[1]
	require.Equal(t, "total", total.Counter)
	added := 10 + 584.0/59 + 4.0/59 + 10 + 190*1.5/19 + 390*0.5/39
	require.InDelta(t, 590+584+4+590+190+390+added, *total.Direct, 1e-9)
	holds(t, total, map[string]float64{"births": 7, "restarts": 5, "before": 4 * 10, "extrapolation": -added})
}

// holds requires parts that explain a difference to the last event.
func holds(t *testing.T, c explain.Check, parts map[string]float64) {
	t.Helper()
	require.Len(t, c.Parts, len(parts))
	for _, part := range c.Parts {
		require.InDelta(t, parts[part.Name], part.Events, 1e-9, part.Name)
	}
	require.InDelta(t, c.Counted-*c.Direct, *c.Difference, 1e-12)
	require.InDelta(t, 0, *c.Remainder, 1e-9)
	require.InDelta(t, 0, *c.RemainderShare, 1e-9)
}

// TestExplainSaysWhatStatusSays also of windows whose start lies among folded
// slots.
func TestExplainSaysWhatStatusSays(t *testing.T) {
	server := httptest.NewServer(embedded(t, time.Minute, eventful).Handler())
	defer server.Close()
	for _, window := range []string{"1h", "7d"} {
		p := proofOf(t, options(server.URL, anHourAfter(at(67))), window, at(67))
		r := evaluate(t, server.URL, load(t, window, events), at(67))
		want, err := json.Marshal(r.SLOs[0])
		require.NoError(t, err)
		got, err := json.Marshal(p.SLO)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
		own := p.SLO.Windows[1]
		require.Equal(t, []any{own.Start, own.End, own.Total, own.Bad, own.Coverage},
			[]any{p.Start, p.End, p.Events.Total, p.Events.Bad, p.Slots.Coverage})
	}
	// Seven days before 01:07 are at 01:00, on a quarter. Slots up to 01:05, which
	// are final, are folded when they are older than three days.
	p := proofOf(t, options(server.URL, anHourAfter(at(67))), "7d", at(67))
	require.Equal(t, at(60).AddDate(0, 0, -7), p.Start)
	require.Equal(t, 4*24*60/15, p.Slots.Quarters)
	require.Equal(t, 3*24*60+7, p.Slots.Single)
	require.Equal(t, 7*24*60+7, p.Slots.Count)
}

// TestExplainWithoutACheck shows the numbers all the same.
func TestExplainWithoutACheck(t *testing.T) {
	db := embedded(t, time.Minute, eventful).Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.FormValue("query"), "increase") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"status":"error","errorType":"execution","error":"too many samples"}`))
			return
		}
		db.ServeHTTP(w, r)
	}))
	defer server.Close()
	o := options(server.URL, anHourAfter(at(60)))
	o.Backends[0].MaxSamples = 100 // 92 of the errors, and 220 others
	p := proofOf(t, o, "1h", at(60))
	require.Equal(t, 2400.0, p.Events.Total)
	require.Equal(t, "the backend answers 422 execution: too many samples", p.Checks[0].Unavailable)
	require.Equal(t, "it would load 312 samples at once, and max_samples is 100", p.Checks[1].Unavailable)
	for _, c := range p.Checks {
		require.Nil(t, c.Direct)
		require.Nil(t, c.Difference)
		require.Nil(t, c.Remainder)
	}

	server.Close()
	p = proofOf(t, o, "1h", at(60))
	require.Equal(t, evaluator.StateQueryFailed, p.SLO.State)
	require.Empty(t, p.Checks)
	require.NotEmpty(t, p.Queries[0].Error)
}
