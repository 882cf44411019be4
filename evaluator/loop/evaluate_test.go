package loop_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

var start = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// load parses an SLO file with one SLO for each line of "name: sli".
func load(t *testing.T, window string, slis ...string) []*slo.SLO {
	t.Helper()
	text := "apiVersion: slowburn/v1\nservice: shop\nslos:\n"
	for i, sli := range slis {
		text += fmt.Sprintf("  - {name: slo%d, objective: 99, window: %s, sli: %s}\n", i, window, sli)
	}
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte(text), Source: "./slos"}})
	require.Empty(t, set.Findings)
	return set.SLOs
}

const (
	events  = `{events: {bad: 'requests_total{code="500"}', total: requests_total}}`
	latency = `{latency: {histogram: latency_seconds, threshold: 300ms}}`
)

// prometheus is an embedded one with the series of a text.
func embedded(t *testing.T, step time.Duration, series string) *memprom.DB {
	t.Helper()
	db := servers.Embedded(t)
	require.NoError(t, db.Load(t.Context(), start, step, series))
	return db
}

func windows(s *slo.SLO) []slo.Window {
	return []slo.Window{slo.Window(5 * time.Minute), s.Window.Length}
}

func newEvaluator(url string, now func() time.Time) *loop.Loop {
	return loop.New(options(url, now))
}

func options(url string, now func() time.Time) loop.Options {
	return loop.Options{
		Backends: []backend.Config{{
			Name: "default", URL: url, HTTP: http.DefaultClient, Offset: 30 * time.Second, Settle: 2 * time.Minute,
			Timeout: 5 * time.Second, MaxConcurrency: 4, MaxSamples: 50_000_000, TargetLabels: []string{"job", "instance"},
		}},
		Windows: windows, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: now,
	}
}

func at(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }

func evaluate(t *testing.T, url string, slos []*slo.SLO, end time.Time) *evaluator.Report {
	t.Helper()
	e := newEvaluator(url, func() time.Time { return end.Add(time.Hour) })
	r, err := e.EvaluateAt(t.Context(), slos, end)
	require.NoError(t, err)
	require.Equal(t, end, r.EvaluatedAt)
	return r
}

// TestNumbers works everything of a status out by hand: two instances with 10
// requests a minute each; one of them restarts, and fails for ten minutes with
// an error series that is born by the first error.
func TestNumbers(t *testing.T) {
	db := embedded(t, time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+10x60
		requests_total{job="shop",instance="b",code="200"} 500+10x30 4+10x29
		requests_total{job="shop",instance="b",code="500"} _x40 2+2x9 20+0x10`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	s := evaluate(t, server.URL, load(t, "1h", events), at(60)).SLOs[0]

	// Instance a: 60 minutes of 10. Instance b: 30 of 10, 4 after the restart,
	// 29 of 10 after it; and 20 errors, from zero.
	const total, bad = 600 + 300 + 4 + 290 + 20, 20
	own := s.Windows[1]
	require.Equal(t, "1h", own.Name)
	require.EqualValues(t, total, own.Total)
	require.EqualValues(t, bad, own.Bad)
	require.Equal(t, 1.0, own.Coverage)
	require.InDelta(t, 1-20.0/1214, *own.SLI, 1e-15)
	require.InDelta(t, 20.0/1214/0.01, *own.BurnRate, 1e-12)
	require.InDelta(t, 12.14, *s.Budget.Allowed, 1e-12)
	require.InDelta(t, 1-20/12.14, *s.Budget.Remaining, 1e-12) // overspent
	require.Equal(t, 0.0, *s.Budget.ExhaustedInSeconds)
	require.Equal(t, evaluator.StateOK, s.State)
	require.Equal(t, at(60), *s.DataUntil)

	short := s.Windows[0]
	require.Equal(t, at(55), short.Start)
	require.EqualValues(t, 100, short.Total)
	require.Equal(t, 0.0, *short.BurnRate)

	// At a past instant, in the middle of the errors.
	s = evaluate(t, server.URL, load(t, "1h", events), at(45)).SLOs[0]
	require.EqualValues(t, 10, s.Windows[0].Bad)
}

// TestLongWindowsBeginOnTheGridOfTheirAge also at the first evaluation, when
// nothing was folded before: a process that runs for long says the same.
func TestLongWindowsBeginOnTheGridOfTheirAge(t *testing.T) {
	db := embedded(t, time.Minute, `requests_total{job="shop",instance="a"} 0+10x70`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	own := evaluate(t, server.URL, load(t, "30d", events), at(67)).SLOs[0].Windows[1]
	require.Equal(t, at(60).Add(-30*24*time.Hour), own.Start)
	require.InDelta(t, 67.0/(30*24*60+7), own.Coverage, 1e-15)
}

func TestLatency(t *testing.T) {
	db := embedded(t, time.Minute, `
		latency_seconds_bucket{job="shop",instance="a",le="0.3"} 0+9x60
		latency_seconds_bucket{job="shop",instance="a",le="1.0"} 0+10x60
		latency_seconds_bucket{job="shop",instance="a",le="+Inf"} 0+10x60
		latency_seconds_count{job="shop",instance="a"} 0+10x60`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	slos := load(t, "1h", latency, `{latency: {histogram: latency_seconds, threshold: 1s}}`, `{latency: {histogram: latency_seconds, threshold: 400ms}}`)
	r := evaluate(t, server.URL, slos, at(60))
	require.EqualValues(t, 600, r.SLOs[0].Windows[1].Total)
	require.EqualValues(t, 60, r.SLOs[0].Windows[1].Bad)
	require.EqualValues(t, 0, r.SLOs[1].Windows[1].Bad)

	none := r.SLOs[2]
	require.Equal(t, evaluator.StateQueryFailed, none.State)
	require.Equal(t, "threshold 400ms is not a bucket boundary of latency_seconds: the nearest are 300ms and 1s", none.StateReason)
	require.Nil(t, none.Windows[1].SLI)
	require.Nil(t, none.Budget.Remaining)
}

// TestLatencyWithoutItsBucket for a while counts nothing then: a count whose
// bucket is missing is not slow.
func TestLatencyWithoutItsBucket(t *testing.T) {
	db := embedded(t, time.Minute, `
		latency_seconds_bucket{job="shop",instance="a",le="0.3"} 0+9x30 _x19 450+9x10
		latency_seconds_bucket{job="shop",instance="a",le="+Inf"} 0+10x60
		latency_seconds_count{job="shop",instance="a"} 0+10x60`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	slos := load(t, "1h", latency)
	for minutes, known := range map[int]float64{30: 30, 60: 40} {
		own := evaluate(t, server.URL, slos, at(minutes)).SLOs[0].Windows[1]
		require.EqualValues(t, 10*minutes, own.Total, "a gap counts when it is over")
		require.EqualValues(t, minutes, own.Bad)
		require.InDelta(t, known/60, own.Coverage, 1e-12)
	}
	missing := evaluate(t, server.URL, slos, at(40)).SLOs[0]
	require.Equal(t, evaluator.StateQueryFailed, missing.State)
	require.Equal(t, "threshold 300ms is not a bucket boundary of latency_seconds: it has none but +Inf", missing.StateReason)
}

func TestStates(t *testing.T) {
	db := embedded(t, time.Minute, `
		up{job="shop",instance="a"} 1x120
		requests_total{job="shop",instance="a",code="200"} 7x120
		ended_total{job="shop",instance="a",code="200"} 0+10x60 stale
		ended_total{job="shop",instance="a",code="500"} 0x60 stale`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	slos := load(t, "1h", events, `{events: {bad: 'ended_total{code="500"}', total: ended_total}}`,
		`{events: {bad: 'never_total{code="500"}', total: never_total}}`)
	r := evaluate(t, server.URL, slos, at(120))
	quiet, ended, never := r.SLOs[0], r.SLOs[1], r.SLOs[2]

	require.Equal(t, evaluator.StateNoTraffic, quiet.State)
	require.Equal(t, 0.0, *quiet.Windows[1].BurnRate)
	require.Nil(t, quiet.Windows[1].SLI)
	require.Equal(t, 1.0, *quiet.Budget.Remaining)

	require.Equal(t, evaluator.StateNoData, ended.State)
	require.Equal(t, at(60), *ended.StateSince)
	require.Equal(t, "no samples of ended_total since 2026-11-20 01:00 UTC: series gone, though the target is up", ended.StateReason)
	require.Nil(t, ended.Windows[0].BurnRate)

	require.Equal(t, evaluator.StateNoData, never.State)
	require.Equal(t, "no series match never_total", never.StateReason)
	require.Equal(t, at(120), never.Missing.Since, "nobody says when it came")
	slos[2].Origin.Came = at(-500)
	again := evaluate(t, server.URL, slos, at(120)).SLOs[2]
	require.Equal(t, evaluator.Missing{Since: at(-500), Never: true, Reason: never.StateReason, At: at(120)}, *again.Missing)
	require.Nil(t, never.Budget.Remaining)

	// An hour after the last sample of anything, it is the backend that lags.
	r = evaluate(t, server.URL, slos, at(180))
	require.Equal(t, evaluator.StateStale, r.SLOs[0].State)
	require.Equal(t, at(120), *r.SLOs[0].StateSince)
}

// TestWhyThereIsNoData: what became of the targets tells it, as long as they have an
// "up" with the labels of the series.
func TestWhyThereIsNoData(t *testing.T) {
	const ends = " 0+10x60 stale\n"
	for want, series := range map[string]string{
		"target down": `
			up{job="shop",instance="a"} 1x60 0x60`,
		"1 of 2 targets down": `
			up{job="shop",instance="a"} 1x60 0x60
			up{job="shop",instance="b"} 1x120
			requests_total{job="shop",instance="b",code="200"}` + ends,
		"target gone": `
			up{job="shop",instance="a"} 1x60 stale
			up{job="else",instance="a"} 1x120`,
		"series gone, though the target is up": `
			up{job="shop",instance="a"} 1x120
			up{job="shop",instance="b"} 0x120`,
		"": `
			up{job="else",instance="a"} 1x120`,
	} {
		db := embedded(t, time.Minute, series+"\nrequests_total{job=\"shop\",instance=\"a\",code=\"200\"}"+ends)
		server := httptest.NewServer(db.Handler())
		s := evaluate(t, server.URL, load(t, "1h", events), at(120)).SLOs[0]
		server.Close()
		require.Equal(t, evaluator.StateNoData, s.State)
		require.Equal(t, want, s.Cause)
		reason := "no samples of requests_total since 2026-11-20 01:00 UTC"
		if want != "" {
			reason += ": " + want
		}
		require.Equal(t, reason, s.StateReason)
	}
}

// TestTheTimeAroundAnAlert: 10 events a minute, and since minute 100 a bad one. The
// alert of an hour began at 110, so it is about the minutes from 50 on.
func TestTheTimeAroundAnAlert(t *testing.T) {
	db := embedded(t, time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+10x300
		requests_total{job="shop",instance="a",code="500"} 0x100 1+1x200`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return at(300) })
	o.Registerer = nil
	o.Lookback = func(*slo.SLO) time.Duration { return 5 * time.Hour }
	o.NewJudge = func() evaluator.Judge {
		return func(*slo.SLO, *timeline.Timeline, timeline.Minute) []evaluator.FiringAlert {
			return []evaluator.FiringAlert{{Severity: "page", Since: at(110), Windows: []string{"1h", "5m"}}}
		}
	}
	for now, each := range map[int]int{120: 1, 250: 3} { // minutes: 70 and 200 in at most 96 parts
		r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(now))
		require.NoError(t, err)
		burning := r.SLOs[0].Burning
		from := now - each*len(burning)
		require.InDelta(t, 50, from, float64(each))
		bad := 0.0
		for i, b := range burning {
			require.Equal(t, at(from+(i+1)*each), b.End)
			bad += b.Bad
		}
		require.Equal(t, float64(now-100), bad)
	}
}

// TestNoTraffic has an SLO without events for the last 20 of 60 minutes: no
// traffic for a policy that pages by a quarter of an hour, some for one that
// pages by the half.
func TestNoTraffic(t *testing.T) {
	db := embedded(t, time.Minute, `requests_total{job="shop",instance="a",code="200"} 0+10x100 1000x20`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	for window, want := range map[time.Duration]evaluator.State{15 * time.Minute: evaluator.StateNoTraffic, 30 * time.Minute: evaluator.StateOK} {
		o := options(server.URL, func() time.Time { return at(180) })
		o.PageWindow = func(*slo.SLO) slo.Window { return slo.Window(window) }
		r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(120))
		require.NoError(t, err)
		require.Equal(t, want, r.SLOs[0].State, window)
	}
}

// TestJSON holds the shape of the contract: every key, null for what is not
// defined, and no NaN.
func TestJSON(t *testing.T) {
	db := embedded(t, time.Minute, `up 1x60`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	text, err := json.Marshal(evaluate(t, server.URL, load(t, "1h", events), at(60)))
	require.NoError(t, err)
	require.JSONEq(t, `{"format": 1, "evaluated_at": "2026-11-20T01:00:00Z", "slos": [{
		"id": "shop/slo0", "service": "shop", "slo": "slo0", "group": {}, "owner": "", "labels": {}, "links": {},
		"description": "", "objective": 0.99, "window": "1h", "budgeting": "occurrences",
		"state": "no_data", "state_reason": "no series match requests_total", "state_since": null, "doubts": [], "data_until": null,
		"method": "raw", "exact": true,
		"windows": [
			{"name": "5m", "seconds": 300, "start": "2026-11-20T00:55:00Z", "end": "2026-11-20T01:00:00Z",
			 "total": 0, "bad": 0, "coverage": 0, "sli": null, "burn_rate": null},
			{"name": "1h", "seconds": 3600, "start": "2026-11-20T00:00:00Z", "end": "2026-11-20T01:00:00Z",
			 "total": 0, "bad": 0, "coverage": 0, "sli": null, "burn_rate": null}],
		"budget": {"allowed": null, "consumed": null, "remaining": null, "exhausted_in_seconds": null, "basis": "6h",
			"so_far": null, "projected_total": null, "projection_basis": null, "period_start": null, "period_end": null},
		"budget_policy": [], "gate": "", "excluded": {"total": 0, "bad": 0, "slots": 0, "now": false, "by": []},
		"groups": null, "periods": [], "more_periods": false, "alerts": [],
		"backend": "default", "source": "./slos", "revision": ""}], "problems": []}`, string(text))
}

// TestExhaustion: 100 requests a minute, none bad for 30 minutes, then 10 bad a
// minute for 6 minutes. Of 3,600 in the hour 36 may be bad; 60 are.
func TestExhaustion(t *testing.T) {
	db := embedded(t, time.Minute, `
		requests_total{job="shop",instance="a",code="200"} 0+100x30 3090+90x3
		requests_total{job="shop",instance="a",code="500"} 0x30 10+10x3`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	// After two bad minutes 20 of 3,200 are bad. The rate of the last 6 h is
	// 20 of 3,200 in 32 minutes. m minutes on, the hour holds (for m <= 28)
	// 20 + m*20/32 bad of 3,200 + 100m: one in a hundred when
	// 20 + 0.625m >= 32 + m, which never is.
	s := evaluate(t, server.URL, load(t, "1h", events), at(32)).SLOs[0]
	require.Nil(t, s.Budget.ExhaustedInSeconds)
	// With three bad minutes 30 of 3,300 in 33 minutes: 30 + m*30/33 >= 33 + m
	// likewise never; with four, 40 of 3,400 are over 34 already.
	s = evaluate(t, server.URL, load(t, "1h", events), at(34)).SLOs[0]
	require.Equal(t, 0.0, *s.Budget.ExhaustedInSeconds)
	require.Equal(t, "6h", s.Budget.Basis)
}

// failing answers as a broken backend does.
func TestBrokenAnswers(t *testing.T) {
	const good = `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"requests_total"},"values":[[1763596800,"1"],[1763596860,"2"]]}]}`
	for name, tt := range map[string]struct {
		status int
		kind   string
		body   string
		want   string
	}{
		"half a JSON":                 {200, "application/json", good[:len(good)-30], "reading the answer: it is cut off: unexpected EOF"},
		"HTML":                        {200, "text/html", "<html>sign in</html>", `the answer is "text/html", not JSON: is this the URL of a Prometheus API?`},
		"503":                         {503, "text/plain", "no healthy upstream", "the backend answers 503: no healthy upstream"},
		"503 as a page":               {503, "text/html", "<html>try again</html>", "the backend answers 503: Service Unavailable"},
		"plain text":                  {401, "text/plain; charset=utf-8", "no org id\nof many lines\n", "the backend answers 401: no org id"},
		"long plain text":             {401, "text/plain", strings.Repeat("x", 501), "the backend answers 401: " + strings.Repeat("x", 329) + " … " + strings.Repeat("x", 166)},
		"long JSON":                   {422, "application/json", `{"status":"error","errorType":"execution","error":"` + strings.Repeat("x", 999) + ` it said"}`, "the backend answers 422 execution: " + strings.Repeat("x", 329) + " … " + strings.Repeat("x", 166-8) + " it said"},
		"long warnings":               {200, "application/json", good + `,"warnings":["` + strings.Repeat("x", 501) + `"]}`, "reading the answer: it may be partial: " + strings.Repeat("x", 329) + " … " + strings.Repeat("x", 166)},
		"429":                         {429, "text/plain", "", "the backend answers 429: Too Many Requests"},
		"422":                         {422, "application/json", `{"status":"error","errorType":"execution","error":"out of memory"}`, "the backend answers 422 execution: out of memory"},
		"partial":                     {200, "application/json", good + `,"warnings":["store gateway unreachable"]}`, "reading the answer: it may be partial: store gateway unreachable"},
		"partial, in VictoriaMetrics": {200, "application/json", `{"isPartial":true,` + good[1:] + `}`, "reading the answer: it may be partial: the backend says so"},
		"an error after it":           {200, "application/json", good + `}{"status":"error","errorType":"422","error":"out of luck"}`, "reading the answer: the backend answers 422: out of luck"},
		"more than an answer":         {200, "application/json", good + `}{}`, "reading the answer: more follows after its end"},
		"error with 200":              {200, "application/json", `{"status":"error","error":"who knows"}`, `reading the answer: its status is "error": who knows`},
		"a vector for a range": {200, "application/json", `{"status":"success","data":{"resultType":"vector","result":[]}}`,
			`reading the answer: it is a "vector" and no samples over a time, of requests_total[2h]: a part of the backend, such as a Thanos in distributed mode, answers no ranges`},
		"not what was said": {200, "application/json", `[1, 2]`, `reading the answer: expected {, found [`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			s := evaluate(t, server.URL, load(t, "1h", events), at(60)).SLOs[0]
			require.Equal(t, evaluator.StateQueryFailed, s.State)
			require.Equal(t, `querying requests_total: `+tt.want, s.StateReason)
			require.Nil(t, s.Budget.Remaining)
		})
	}
}

// TestHistoryInPieces lets a backend refuse long ranges, in the words of each.
// The numbers are the same as without limits.
func TestHistoryInPieces(t *testing.T) {
	db := embedded(t, 30*time.Second, `
		requests_total{job="shop",instance="a",code="200"} 0+10x2880
		requests_total{job="shop",instance="a",code="500"} _x99 1+1x2780`)
	whole := httptest.NewServer(db.Handler())
	defer whole.Close()
	slos := load(t, "23h", events)
	want, err := json.Marshal(evaluate(t, whole.URL, slos, at(24*60)))
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		status  int
		message string
	}{
		"Prometheus":                  {422, `"execution","error":"query processing would load too many samples into memory in query execution"`},
		"Prometheus, slow":            {503, `"timeout","error":"query timed out in expression evaluation"`},
		"VictoriaMetrics":             {422, `"422","error":"cannot select more than -search.maxSamplesPerQuery=70000 samples; possible solutions: ..."`},
		"VictoriaMetrics, many":       {422, `"422","error":"the number of matching timeseries exceeds 2; either narrow down the search or increase -search.max*"`},
		"VictoriaMetrics, slow":       {422, `"422","error":"timeout exceeded while fetching data block #7 from storage: 30 seconds"`},
		"VictoriaMetrics, after data": {200, `"422","error":"cannot process more than 20000 samples per series; either increase -search.maxSamplesPerSeries or ..."`},
		"Mimir, range":                {422, `"execution","error":"the query time range exceeds the limit (query length: 1h0m0s, limit: 1m0s) (err-mimir-max-query-length)"`},
		"Mimir, total range":          {400, `"bad_data","error":"the total query time range exceeds the limit (query length: 1h0m0s, limit: 1m0s) (err-mimir-max-total-query-length)"`},
		"Mimir, chunks":               {422, `"execution","error":"expanding series: the query exceeded the maximum number of chunks (limit: 11 chunks) (err-mimir-max-chunks-per-query)"`},
		"Mimir, bytes":                {413, `"too_large_entry","error":"JSON response is larger than the maximum allowed (100 bytes)"`},
		"Thanos, series":              {422, `"execution","error":"expanding series: rpc error: code = ResourceExhausted desc = exceeded series limit: limit 2 violated (got 3)"`},
		"Thanos, samples":             {422, `"execution","error":"expanding series: failed to send samples: limit 50 violated (got 120)"`},
		"Thanos, bytes":               {422, `"execution","error":"expanding series: rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)"`},
		"a proxy":                     {504, ``},
	} {
		t.Run(name, func(t *testing.T) {
			var refusals atomic.Int32
			handler := db.Handler()
			limited := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.FormValue("query"), "h]") && !strings.HasSuffix(r.FormValue("query"), "d]") {
					handler.ServeHTTP(w, r)
					return
				}
				refusals.Add(1)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				if tt.status == http.StatusOK {
					_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
				}
				_, _ = fmt.Fprintf(w, `{"status":"error","errorType":%s}`, tt.message)
			}))
			defer limited.Close()
			got, err := json.Marshal(evaluate(t, limited.URL, slos, at(24*60)))
			require.NoError(t, err)
			require.Positive(t, refusals.Load())
			require.JSONEq(t, string(want), string(got))
		})
	}
}

// TestValuesThatAreNoCounts are left out, and don't make others infinite.
func TestValuesThatAreNoCounts(t *testing.T) {
	db := embedded(t, time.Minute, `requests_total{job="shop",instance="a"} 0+10x20 NaN Inf 1.7e308 -1.7e308 1.7e308 -5 250+10x33`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	s := evaluate(t, server.URL, load(t, "1h", events), at(60)).SLOs[0]
	require.EqualValues(t, 580, s.Windows[1].Total)
	require.EqualValues(t, 0, s.Windows[1].Bad)
}

func TestCompressedAnswers(t *testing.T) {
	db := embedded(t, time.Minute, `requests_total{job="shop",instance="a",code="200"} 0+10x60`)
	handler := db.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding")
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = zip.Write(rec.Body.Bytes())
		_ = zip.Close()
	}))
	defer server.Close()
	s := evaluate(t, server.URL, load(t, "1h", events), at(60)).SLOs[0]
	require.EqualValues(t, 600, s.Windows[1].Total)
}
