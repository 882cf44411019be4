package loop_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// sensed are the doubts about SLOs, given as lines of an SLO list, a day and two
// hours after the start.
func sensed(t *testing.T, url string, slos ...string) []string {
	t.Helper()
	text := "apiVersion: slowburn/v1\nservice: shop\ndefaults: {objective: 99, window: 1d}\nslos:\n  - " + strings.Join(slos, "\n  - ") + "\n"
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte(text)}})
	for _, f := range set.Findings {
		require.NotEqual(t, "error", string(f.Severity), f.Text())
	}
	doubts, err := newEvaluator(url, func() time.Time { return at(26*60 + 1) }).Inspect(t.Context(), set.SLOs)
	require.NoError(t, err)
	var out []string
	for _, d := range doubts {
		severity := "warning"
		if d.Wrong {
			severity = "error"
		}
		out = append(out, fmt.Sprintf("%s %s: %s: %s", d.SLO.Name, d.Field, severity, d.Message))
		if d.Hint != "" {
			out = append(out, "  "+d.Hint)
		}
	}
	return out
}

// TestSense has one series for all that is fine, and one for each thing that is
// not, of 26 hours in steps of a minute.
func TestSense(t *testing.T) {
	db := embedded(t, time.Minute, `
		up{job="shop"} 1x1560
		requests_total{job="shop",code="200",tenant="a"} 0+10x1560
		requests_total{job="shop",code="200",tenant="b"} 0+10x1560
		young_total{job="shop"} _x1260 0+10x300
		gone_total{job="shop"} 0+10x900
		slow_total{job="shop"} `+strings.Repeat("1 _ ", 781)+`
		level_total{job="shop"} `+strings.Repeat("5 3 ", 781)+`
		ended_total{job="a"} 0+1x1530
		ended_total{job="b"} 0+10x1335
		queue_length{job="shop"} 3x1560
		latency_seconds_bucket{le="0.1"} 0+1x1560
		latency_seconds_bucket{le="0.5"} 0+2x1560
		latency_seconds_bucket{le="2.5"} 0+3x1560
		latency_seconds_bucket{le="+Inf"} 0+3x1560
		latency_seconds_count 0+3x1560
		mixed_seconds_bucket{pod="a",le="1"} 0+3x1560
		mixed_seconds_bucket{pod="a",le="2"} 0+3x1560
		mixed_seconds_bucket{pod="a",le="+Inf"} 0+3x1560
		mixed_seconds_count{pod="a"} 0+3x1560
		mixed_seconds_bucket{pod="b",le="2"} 0+3x1560
		mixed_seconds_bucket{pod="b",le="+Inf"} 0+3x1560
		mixed_seconds_count{pod="b"} 0+3x1560
		size_bytes_bucket{le="1e+06"} 0+3x1560
		size_bytes_bucket{le="+Inf"} 0+3x1560
		size_bytes_count 0+3x1560
		native_seconds {{schema:0 count:8 sum:10 buckets:[3 5]}}+{{schema:0 count:8 sum:10 buckets:[3 5]}}x1560`)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	for name, tt := range map[string]struct {
		slo  string
		want []string
	}{
		"fine":                  {`sli: {events: {bad: 'requests_total{code="500"}', total: 'requests_total{job="shop"}'}}`, nil},
		"fine, by group":        {`group_by: [tenant], sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}`, nil},
		"fine, a bucket":        {`sli: {latency: {histogram: latency_seconds, threshold: 500ms}}`, nil},
		"fine, a native bucket": {`sli: {latency: {histogram: native_seconds, threshold: 1s}}`, nil},
		"fine, a query":         {`sli: {threshold: {query: max(queue_length), op: <, value: 10}}`, nil},
		"fine, a probe":         {`sli: {probe: {metric: up}}`, nil},
		"fine, gone for hours": {`window: 1h, sli: {events: {bad: 'gone_total{code="500"}', total: gone_total}}`, []string{
			"x sli.events.bad: warning: no series matched gone_total{code=\"500\"} in the last 24 hours",
			"  there are no series by the name gone_total now"}},
		"no such name": {`sli: {events: {bad: 'requests_total{code="500"}', total: request_total}}`, []string{
			"x sli.events.total: warning: no series matched request_total in the last 24 hours",
			"  there are no series by the name request_total now"}},
		"no such value": {`sli: {probe: {metric: 'up{job="shopp"}'}}`, []string{
			`x sli.probe.metric: warning: no series matched up{job="shopp"} in the last 24 hours`,
			`  there are series of up, but none with job="shopp"`}},
		"no such label of errors": {`sli: {events: {bad: 'requests_total{status="500"}', total: requests_total}}`, []string{
			`x sli.events.bad: warning: no series matched requests_total{status="500"} in the last 24 hours`,
			"  no series of requests_total has a label status"}},
		"no histogram": {`sli: {latency: {histogram: latncy_seconds, threshold: 500ms}}`, []string{
			"x sli.latency.histogram: warning: no series matched latncy_seconds_count in the last 24 hours",
			"  there are no series by the name latncy_seconds_count now"}},
		"no values": {`sli: {freshness: {timestamp: max(backup_timestamp), max_age: 1h}}`, []string{
			"x sli.freshness.timestamp: warning: the query had no values in the last 24 hours"}},
		"no bucket": {`sli: {latency: {histogram: latency_seconds, threshold: 300ms}}`, []string{
			"x sli.latency.threshold: error: threshold 300ms is not a bucket boundary of latency_seconds: the nearest are 100ms and 500ms"}},
		"no bucket, of bytes": {`sli: {latency: {histogram: size_bytes, threshold: 2000}}`, []string{
			"x sli.latency.threshold: error: threshold 2000 is not a bucket boundary of size_bytes: the nearest is 1e+06"}},
		"no bucket of some": {`sli: {latency: {histogram: mixed_seconds, threshold: 1s}}`, []string{
			"x sli.latency.threshold: error: threshold 1s is not a bucket boundary of 1 of the 2 histograms mixed_seconds"}},
		"no name": {`sli: {probe: {metric: '{__name__=~"up|queue_length"}'}}`, []string{
			`x sli.probe.metric: error: {__name__=~"up|queue_length"} has values such as 3 in the last day, and a probe is 0 or 1: all but 0 count as good`,
			`  write an SLO of threshold: {query: '{__name__=~"up|queue_length"}', op: "==", value: ...} with the value that is good, such as 3 now`}},
		"the last bucket": {`sli: {latency: {histogram: latency_seconds, threshold: 2.5s}}`, []string{
			"x sli.latency.threshold: warning: threshold 2.5s is the last bucket of latency_seconds: nothing slower can be told apart",
			"  give the histogram buckets above it, to tell what is a little slow from what hangs"}},
		"within a native bucket": {`sli: {latency: {histogram: native_seconds, threshold: 1500ms}}`, []string{
			"x sli.latency.threshold: warning: threshold 1500ms is within a bucket of native_seconds: the counts are estimates",
			"  1s and 2s are exact"}},
		"refused": {`sli: {threshold: {query: 'median(rate(requests_total[5m]))', op: <, value: 10}}`, []string{
			`x sli.threshold.query: error: the query fails: the backend answers 400 bad_data: invalid parameter "query": 1:7: parse error: unknown function with name "median"`}},
		"young": {`sli: {events: {bad: 'young_total{job="shop",code!=""}', total: young_total}}`, []string{
			"x sli.events.bad: warning: no series matched young_total{code!=\"\",job=\"shop\"} in the last 24 hours",
			"  no series of young_total has a label code",
			"x window: warning: young_total goes back only 5h, to 2026-11-20 21:00: less than the window of 1d",
			"  other series go back further: if this service is new, no action is needed"}},
		"not kept for so long": {`window: 7d, sli: {probe: {metric: up}}`, []string{
			"x window: warning: up goes back only 26h, to 2026-11-20 00:00: less than the window of 7d",
			"  let the backend keep more than 7d, or take a shorter window"}},
		"scraped seldom": {`sli: {events: {bad: 'slow_total{job="shop"}', total: slow_total}}`, []string{
			"x sli.events.bad: warning: samples of slow_total{job=\"shop\"} come every 2m, fewer than 4 in the 5m that alerts look at",
			"  scrape at least every 1m15s",
			"x sli.events.total: warning: samples of slow_total come every 2m, fewer than 4 in the 5m that alerts look at",
			"  scrape at least every 1m15s",
			"x sli.events.total: warning: slow_total did not change in the last 1d: it is 1, and counted no events",
			"  if each of its samples is a number of events, write type: delta; if they are rates, type: rate"}},
		"ended half an hour ago, and hours": {`sli: {events: {bad: 'ended_total{job="a"}', total: 'ended_total{job="b"}'}}`, nil},
		"scraped seldom, evaluated": {`sli: {events: {bad: 'sum(changes(slow_total[$window]))', total: requests_total}}`, []string{
			"x sli.events.bad: warning: the number of events is estimated: changes(slow_total[$window]) is not a sum of counters",
			"  events are counted exactly in sums of rate() and increase() of selectors over $window",
			"x sli.events.bad: warning: samples of slow_total come every 2m, too seldom for an expression that is evaluated",
			"  a range of 2m needs two samples; scrape once a minute, or count by rate() and increase() of selectors"}},
		"a gauge": {`sli: {events: {bad: 'level_total{job="shop"}', total: requests_total}}`, []string{
			`x sli.events.bad: warning: level_total{job="shop"} falls as gauges do, in 48 % of its samples`,
			"  write type: delta where each sample is the number of events since the one before, type: rate for events per second; any other gauge is for an SLO of threshold"}},
		"no such group": {`group_by: [customer], sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}`, []string{
			"x group_by: error: no series of requests_total has the label customer"}},
		"too many groups": {`group_by: [tenant], groups: {limit: 1}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}`, []string{
			"x group_by: warning: requests_total has 2 groups and a limit of 1; the others are not followed one by one",
			"  raise groups.limit, or split by fewer labels"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, sensed(t, server.URL, "{name: x, "+tt.slo+"}"))
		})
	}
	t.Run("an SLO of others", func(t *testing.T) {
		require.Equal(t, []string{
			"x window: warning: young_total goes back only 5h, to 2026-11-20 21:00: less than the window of 1d",
			"  other series go back further: if this service is new, no action is needed",
		}, sensed(t, server.URL, "{name: x, worst_of: [shop/a, shop/b]}",
			"{name: a, sli: {probe: {metric: up}}}", `{name: b, window: 1h, sli: {events: {bad: 'young_total{job=""}', total: young_total}}}`))
	})
}

// TestSenseOfABackendThatIsDown is an error, not a doubt about an SLO.
func TestSenseOfABackendThatIsDown(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	slos := load(t, "1h", events, latency)
	doubts, err := loop.New(options(server.URL, func() time.Time { return at(60) })).Inspect(t.Context(), slos)
	require.ErrorContains(t, err, "asking backend default about shop/slo")
	require.Empty(t, doubts)
}
