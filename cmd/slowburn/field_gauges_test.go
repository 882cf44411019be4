package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gaugesCases are cases of gauges that are taken for counters, and of what check says first.
func gaugesCases() []fieldCase {
	return []fieldCase{{"gauges-as-counters", 7 * time.Hour, gaugesAsCounters}, {"errors-first", 3 * time.Hour, errorsFirst}}
}

// gaugesAsCounters has numbers of events of each five minutes, a rate, and a counter that
// counts nothing, all of which stay the same. The numbers come ten minutes late.
func gaugesAsCounters(f *field) {
	const late = 7*time.Hour - 10*time.Minute
	constant := func(n float64) func(time.Duration) float64 { return func(time.Duration) float64 { return n } }
	f.series(`delivered_sum{job="statsd"}`, 0, late, 5*time.Minute, constant(600))
	f.series(`bounced_sum{job="statsd"}`, 0, late, 5*time.Minute, constant(6))
	f.series(`aws_applicationelb_request_count_sum{job="yace"}`, 0, late, 5*time.Minute, constant(600))
	f.series(`aws_applicationelb_httpcode_target_5xx_count_sum{job="yace"}`, 0, late, 5*time.Minute, constant(6))
	f.series(`job:requests:rate5m{job="api"}`, 0, 7*time.Hour, interval, constant(100))
	f.series(`job:errors:rate5m{job="api"}`, 0, 7*time.Hour, interval, constant(1))
	f.series(`quiet_total{job="api",instance="a"}`, 0, 7*time.Hour, interval, constant(5))
	f.series(`broken_total{job="api",instance="a"}`, 0, 7*time.Hour, interval, constant(1))
	f.series(`up{job="api",instance="a"}`, 0, 7*time.Hour, interval, constant(1))
}

// TestGaugesAsCounters: validate finds what names say, check what never changes, in the
// total alone and not in two hours of a counter by its name.
func TestGaugesAsCounters(t *testing.T) {
	f := gaugesCases()[0].open(t)
	_, findings := f.validate()
	require.Contains(t, findings, "aws_applicationelb_request_count_sum looks like a gauge of CloudWatch, not like a counter")
	require.Contains(t, findings, "hint: write type: delta")
	require.Contains(t, findings, "job:requests:rate5m looks like a recorded rate, not like a counter")
	require.Contains(t, findings, "hint: write type: rate")
	require.NotContains(t, findings, "delivered")

	_, findings = f.check()
	require.Contains(t, findings, "aws_applicationelb_request_count_sum did not change in the last 2h: it is 600, and counted no events (and 2 more SLOs)")
	require.Contains(t, findings, "if each of its samples is a number of events, write type: delta; if they are rates, type: rate")
	require.Equal(t, 1, strings.Count(findings, "did not change"))
	require.Contains(t, findings, "hint: gauges of numbers of events are counted exactly by their selectors alone, with type: delta")
}

// TestGaugesByMetadata: a backend knows what the targets said of their metrics.
func TestGaugesByMetadata(t *testing.T) {
	f := gaugesCases()[0].open(t)
	inner := f.db.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/metadata" {
			inner.ServeHTTP(w, r)
			return
		}
		kind, name := "counter", r.FormValue("metric")
		if strings.HasSuffix(name, "_sum") {
			kind = "gauge"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"success","data":{"` + name + `":[{"type":"` + kind + `","help":"","unit":""}]}}`))
	}))
	defer server.Close()
	f.url = server.URL
	_, findings := f.check()
	for _, name := range []string{"aws_applicationelb_request_count_sum", "aws_applicationelb_httpcode_target_5xx_count_sum"} {
		require.Contains(t, findings, name+" is a gauge, by its metadata, and does not grow as counters do (and 1 more SLO)")
	}
	require.NotContains(t, findings, "quiet_total is a gauge")
}

// errorsFirst has a histogram without a bucket of 700 ms, and three hours of data.
func errorsFirst(f *field) {
	for _, series := range []string{`all_total`, `failed_total`, `h_seconds_bucket{le="0.5"}`, `h_seconds_bucket{le="1"}`, `h_seconds_bucket{le="+Inf"}`, `h_seconds_count`} {
		f.series(series, 0, 3*time.Hour, interval, func(after time.Duration) float64 { return after.Seconds() })
	}
}

// TestErrorsComeBeforeWarnings: a window that is longer than the data is on an earlier
// line than a threshold that is not a bucket boundary.
func TestErrorsComeBeforeWarnings(t *testing.T) {
	code, findings := gaugesCases()[1].open(t).check()
	require.Equal(t, 1, code)
	require.Regexp(t, `(?s)errors-first\.yaml:6:\d+: threshold 700ms is not a bucket boundary.*errors-first\.yaml:3:\d+: warning: all_total goes back only 3h`, findings)
}
