package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// bucketCases are cases of histograms, of units, and of indicators that can't mean
// what they say.
func bucketCases() []fieldCase {
	return []fieldCase{
		{"le-both", 4 * time.Hour, leBoth}, {"le-normalised", 4 * time.Hour, leNormalised}, {"le-padded", 3 * time.Hour, lePadded},
		{"envoy-ms", 3 * time.Hour, envoyMilliseconds}, {"odd-units", 3 * time.Hour, oddUnits},
		{"micrometer-nobuckets", 3 * time.Hour, noBuckets}, {"inverted-bucket", 3 * time.Hour, invertedBucket},
		{"filter-in-threshold", 3 * time.Hour, filterInThreshold}, {"quantile-as-events", 6 * time.Hour, quantileAsEvents},
		{"probe-values", 3 * time.Hour, probeValues}, {"ksm-job", 10 * 24 * time.Hour, ksmJobs}, {"age-gauge", 3 * time.Hour, ageGauge},
	}
}

// openBucketCase opens a case by its name.
func openBucketCase(t *testing.T, name string) *field {
	t.Helper()
	for _, c := range bucketCases() {
		if c.name == name {
			return c.open(t)
		}
	}
	require.Fail(t, "no such case", name)
	return nil
}

// perSecond is a counter that grows so much a second.
func perSecond(n float64) func(after time.Duration) float64 {
	return func(after time.Duration) float64 { return math.Floor(n * after.Seconds()) }
}

// histogram writes a classic histogram of 100 observations a second, of which each
// bound, as it is written, has a share.
func (f *field) histogram(name, labels string, length time.Duration, shares map[string]float64) {
	f.t.Helper()
	for le, share := range shares {
		f.series(fmt.Sprintf("%s_bucket{%s,le=%q}", name, labels, le), 0, length, 30*time.Second, perSecond(100*share))
	}
	f.series(fmt.Sprintf("%s_bucket{%s,le=\"+Inf\"}", name, labels), 0, length, 30*time.Second, perSecond(100))
	f.series(fmt.Sprintf("%s_count{%s}", name, labels), 0, length, 30*time.Second, perSecond(100))
}

const apiLabels = `job="api",instance="a:80"`

// leBoth has two Prometheis of an HA pair, one that writes le="1" and one that writes
// le="1.0", after a deduplication that knows their replica label only: 1 % of 100
// requests a second are slow, in the last of 4 hours 50 %.
func leBoth(f *field) {
	const length = 4 * time.Hour
	good := func(after time.Duration) float64 {
		return 99*min(after, 3*time.Hour).Seconds() + 50*max(0, after-3*time.Hour).Seconds()
	}
	for _, le := range []string{"1", "1.0"} {
		f.series(`x_seconds_bucket{`+apiLabels+`,le="`+le+`"}`, 0, length, 30*time.Second, good)
	}
	f.histogram("x_seconds", apiLabels, length, map[string]float64{"2.5": 1})
}

// TestOneBucketUnderTwoTexts counts it once: 1 % of 1,080,000 and 50 % of 360,000.
func TestOneBucketUnderTwoTexts(t *testing.T) {
	f := openBucketCase(t, "le-both")
	s := f.status(4 * time.Hour)["latency"]
	requireOwn(t, s, 10_800+180_000, 1_440_000, 1)
	require.True(t, fires(s, "page"))
	code, findings := f.check()
	require.Equal(t, 0, code, findings)
	require.NotContains(t, findings, "is no bucket")
	_, explained, _ := f.run("explain", "api/latency", f.file, "--backend", f.url, "--at", f.at(4*time.Hour+30*time.Second).Format(time.RFC3339))
	require.Contains(t, explained, "le is written as 1 and 1.0, and increase() takes that for several counters")
	require.Contains(t, explained, "190,800")
}

// TestRulesOfOneBucketUnderTwoTexts: half of the requests are slow, and 2 % may be.
func TestRulesOfOneBucketUnderTwoTexts(t *testing.T) {
	t.Parallel()
	f := openBucketCase(t, "le-both")
	dir := t.TempDir()
	code, _, errs := f.run("generate", "rules", f.file, "-o", dir)
	require.Equal(t, 0, code, errs)
	files, err := filepath.Glob(filepath.Join(dir, "*.rules.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	test := `
rule_files: [` + filepath.Base(files[0]) + `]
evaluation_interval: 1m
tests:
  - interval: 30s
    input_series:
      - {series: 'x_seconds_bucket{job="api",instance="a",le="1"}', values: '0+1500x%d'}
      - {series: 'x_seconds_bucket{job="api",instance="a",le="1.0"}', values: '%s'}
      - {series: 'x_seconds_count{job="api",instance="a"}', values: '0+3000x400'}
    promql_expr_test:
      - {expr: 'slo_burn_rate{window="10m"}', eval_time: 2h, exp_samples: [{labels: '{__name__="slo_burn_rate", slo="latency", slo_id="api/latency", slo_service="api", window="10m"}', value: 25}]}
`
	for name, texts := range map[string]string{
		"both":           fmt.Sprintf(test, 400, "0+1500x400"),
		"a change":       fmt.Sprintf(test, 220, "_x221 331500+1500x180"),
		"another scrape": fmt.Sprintf(test, 400, "_x100 151500+1500x300"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "test.yaml")
			require.NoError(t, os.WriteFile(path, []byte(texts), 0o600))
			promtool, err := exec.LookPath("promtool")
			require.NoError(t, err)
			out, err := exec.Command(promtool, "test", "rules", path).CombinedOutput()
			require.NoError(t, err, string(out))
		})
	}
}

// leNormalised has a Prometheus that writes le="1" for 2 hours, and le="1.0" from then
// on: 1 % of 100 requests a second are slow.
func leNormalised(f *field) {
	const length, change = 4 * time.Hour, 2 * time.Hour
	f.series(`x_seconds_bucket{`+apiLabels+`,le="1"}`, 0, change, 30*time.Second, perSecond(99))
	f.series(`x_seconds_bucket{`+apiLabels+`,le="1.0"}`, change+30*time.Second, length, 30*time.Second, perSecond(99))
	f.histogram("x_seconds", apiLabels, length, map[string]float64{"2.5": 0.995})
}

// TestBucketGoesOnUnderAnotherText by latency, and by events with the pattern that
// check gives; without it all are bad, and the number is in doubt.
func TestBucketGoesOnUnderAnotherText(t *testing.T) {
	f := openBucketCase(t, "le-normalised")
	s := f.status(4 * time.Hour)
	requireOwn(t, s["by-latency"], 14_400, 1_440_000, 1)
	requireOwn(t, s["by-regex"], 14_400, 1_440_000, 1)
	for _, name := range []string{"by-events", "by-expression"} {
		require.Equal(t, []evaluator.DoubtCode{evaluator.DoubtPartlyKnown}, doubts(s[name]))
		require.Equal(t, `x_seconds_bucket has the bucket le="1" also as le="1.0", which is not counted: write le=~"1|1[.]0"`, s[name].Doubts[0].Message)
	}
	for _, name := range []string{"by-latency", "by-regex"} {
		require.Empty(t, s[name].Doubts, name)
	}
	code, findings := f.check()
	require.Equal(t, 1, code)
	require.Contains(t, findings, `no bucket of x_seconds_bucket is written le="1" now: the same bound is written le="1.0" (and 1 more SLO)`)
	require.Contains(t, findings, `hint: write le=~"1|1[.]0", or an SLO of latency, which finds a bucket by its bound`)
}

// lePadded has bounds as clients write them, each with 95 % of 100 requests a
// second within 0.3 s.
func lePadded(f *field) {
	const length = 3 * time.Hour
	const nginx = `job="nginx",instance="n:1"`
	f.histogram("nginx_http_request_duration_seconds", nginx, length, map[string]float64{"00.100": .5, "00.300": .95, "01.000": .99, "10.000": 1})
	f.histogram("kong_latency_ms", nginx, length, map[string]float64{"00001.0": .1, "00100.0": .5, "00300.0": .95, "01000.0": .99})
	f.histogram("py_seconds", nginx, length, map[string]float64{"1e-1": .5, "3e-1": .95, "1e+00": .99})
	f.histogram("cs_seconds", nginx, length, map[string]float64{"0.10": .5, "0.30": .95, "1.00": .99})
	f.histogram("go_seconds", nginx, length, map[string]float64{"0.1": .5, "0.2": .6, "0.30000000000000004": .95, "0.4": .99})
	f.histogram("odd_seconds", nginx, length, map[string]float64{"10e-2": .5, "30e-2": .95, "100e-2": .99})
}

// TestBucketByItsBound finds it however it is written, 5 % of 1,080,000 above it.
func TestBucketByItsBound(t *testing.T) {
	f := openBucketCase(t, "le-padded")
	s := f.status(3 * time.Hour)
	for name, bad := range map[string]float64{
		"nginx": 54_000, "kong": 54_000, "exponent": 54_000, "trailing": 54_000, "trailing-1s": 10_800, "calculated": 54_000, "odd": 54_000,
	} {
		requireOwn(t, s[name], bad, 1_080_000, 1)
		require.Equal(t, evaluator.StateOK, s[name].State)
	}
	code, findings := f.check()
	require.Equal(t, 0, code, findings)
}

// envoyMilliseconds has histograms in milliseconds whose names do not say it: of
// Envoy 5 % are above 500 ms, of Kong none above 1 s.
func envoyMilliseconds(f *field) {
	f.histogram("envoy_cluster_upstream_rq_time", `job="envoy",instance="e:9901",envoy_cluster_name="shop"`, 3*time.Hour, map[string]float64{
		"0.5": 0, "1": 0, "5": .02, "10": .1, "25": .3, "50": .5, "100": .7, "250": .9, "500": .95, "1000": .99, "2500": 1, "5000": 1,
		"10000": 1, "30000": 1, "60000": 1, "300000": 1, "600000": 1, "1800000": 1, "3600000": 1,
	})
	f.histogram("kong_latency", `job="envoy",instance="e:9901",type="request"`, 3*time.Hour,
		map[string]float64{"1": 0, "2": 0, "5": .1, "10": .3, "100": .8, "500": .95, "1000": 1})
}

// TestUnitThatNobodyKnows is refused by the service and by check, with both readings;
// where it is written the slow ones are counted.
func TestUnitThatNobodyKnows(t *testing.T) {
	f := openBucketCase(t, "envoy-ms")
	s := f.status(3 * time.Hour)
	for name, reason := range map[string]string{
		"envoy-500ms": "threshold 500ms is 0.5 or 500; write unit: ms beside the threshold, or unit: s",
		"envoy-1s":    "threshold 1s is 1 or 1000;",
		"envoy-250ms": "its buckets reach to 3600000: threshold 250ms is 0.25 or 250;",
		"kong-1s":     `is kong_latency{type="request"} in seconds or in milliseconds? Neither its name nor a unit says it, and its buckets reach to 1000:`,
	} {
		require.Equal(t, evaluator.StateQueryFailed, s[name].State, name)
		require.Contains(t, s[name].StateReason, reason)
	}
	for _, name := range []string{"right", "envoy-unit"} {
		requireOwn(t, s[name], 54_000, 1_080_000, 1)
	}
	requireOwn(t, s["kong-unit"], 0, 1_080_000, 1)
	code, findings := f.check()
	require.Equal(t, 1, code)
	require.Equal(t, 4, strings.Count(findings, "Neither its name nor a unit says it"), findings)
	code, findings = f.validate("--strict")
	require.Equal(t, 0, code, findings)
}

// oddUnits has histograms in milliseconds by other names, and sizes as clients of
// several languages write them.
func oddUnits(f *field) {
	for _, name := range []string{"http_server_duration", "request_duration_millis", "rpc_latency_msec", "request_time_ms_histogram"} {
		f.histogram(name, `job="x",instance="x:1"`, 3*time.Hour, map[string]float64{
			"0": 0, "5": .02, "10": .1, "25": .3, "50": .5, "75": .6, "100": .7, "250": .9, "500": .95, "750": .97, "1000": .98,
			"2500": .99, "5000": .99, "7500": .99, "10000": 1,
		})
	}
	for name, le := range map[string]string{"go": "1.048576e+06", "java": "1048576.0", "plain": "1048576"} {
		f.histogram("up_size_bytes_"+name, `job="x",instance="x:1"`, 3*time.Hour, map[string]float64{le: .95})
	}
}

// TestOddUnits are known by the name, or refused.
func TestOddUnits(t *testing.T) {
	f := openBucketCase(t, "odd-units")
	s := f.status(3 * time.Hour)
	for _, name := range []string{"otel", "otel-500ms", "ms-middle"} {
		require.Contains(t, s[name].StateReason, "in seconds or in milliseconds?", name)
	}
	for name, bad := range map[string]float64{"millis": 10_800, "msec": 10_800, "size-go": 54_000, "size-java": 54_000, "size-plain": 54_000} {
		requireOwn(t, s[name], bad, 1_080_000, 1)
	}
}

// noBuckets has timers without buckets, and some of a name that have them.
func noBuckets(f *field) {
	const app, length = `job="app",instance="a:1"`, 3 * time.Hour
	each := 30 * time.Second
	f.series(`http_server_requests_seconds_count{`+app+`,uri="/x"}`, 0, length, each, perSecond(100))
	f.series(`http_server_requests_seconds_sum{`+app+`,uri="/x"}`, 0, length, each, perSecond(20))
	f.series(`http_client_requests_seconds{`+app+`,quantile="0.5"}`, 0, length, each, func(time.Duration) float64 { return .2 })
	f.series(`http_client_requests_seconds_count{`+app+`}`, 0, length, each, perSecond(100))
	f.series(`mixed_seconds_count{`+app+`,uri="/x"}`, 0, length, each, perSecond(100))
	f.histogram("mixed_seconds", app+`,uri="/y"`, length, map[string]float64{"0.3": .95, "0.5": .99})
}

// TestHistogramsWithoutBuckets are refused alike by status and by check.
func TestHistogramsWithoutBuckets(t *testing.T) {
	f := openBucketCase(t, "micrometer-nobuckets")
	s := f.status(3 * time.Hour)
	for name, reason := range map[string]string{
		"timer":   "http_server_requests_seconds has a count and no buckets: the number of slow observations is unknown",
		"summary": "http_client_requests_seconds has a count and no buckets: the number of slow observations is unknown",
		"mixed":   `threshold 300ms is not a bucket boundary of 1 of the 2 histograms mixed_seconds`,
	} {
		require.Equal(t, evaluator.StateQueryFailed, s[name].State)
		require.Contains(t, s[name].StateReason, reason)
		code, findings := f.check()
		require.Equal(t, 1, code)
		require.Contains(t, findings, reason)
	}
	require.Equal(t, evaluator.StateNoData, s["typo"].State)
}

// TestCheckPassesNothingThatStatusRefuses holds in all cases that what can't be
// evaluated is an error of check, at a line of the SLO.
func TestCheckPassesNothingThatStatusRefuses(t *testing.T) {
	t.Parallel()
	refusals := 0
	for _, c := range fieldCases() {
		t.Run(c.name, func(t *testing.T) {
			f := c.open(t)
			text, err := os.ReadFile(f.file)
			require.NoError(t, err)
			slos := spec.Load([]spec.File{{Name: f.file, Text: text}}).SLOs
			slices.SortFunc(slos, func(a, b *slo.SLO) int { return cmp.Compare(a.Origin.Line, b.Origin.Line) })
			_, out, _ := f.run("check", f.file, "--backend", f.url, "-o", "json")
			var found struct{ Problems []evaluator.Problem }
			require.NoError(t, json.Unmarshal([]byte(out), &found), out)
			for name, s := range f.status(c.length) {
				if s.State != evaluator.StateQueryFailed {
					continue
				}
				refusals++
				at := func(line int) string { // the SLO of a line
					own := ""
					for _, o := range slos {
						if o.Origin.Line <= line {
							own = o.Name
						}
					}
					return own
				}
				require.True(t, slices.ContainsFunc(found.Problems, func(p evaluator.Problem) bool {
					return p.Severity == "error" && at(p.Line) == name
				}), "status refuses %s: %s", name, s.StateReason)
			}
		})
	}
	require.GreaterOrEqual(t, refusals, 10)
}

// invertedBucket has 95 % of 100 observations a second within 0.5 s.
func invertedBucket(f *field) {
	f.histogram("q_seconds", `job="x",instance="i"`, 3*time.Hour, map[string]float64{"0.1": .5, "0.5": .95, "1": .99})
	f.series(`q_seconds_sum{job="x",instance="i"}`, 0, 3*time.Hour, 30*time.Second, perSecond(20))
}

// filterInThreshold has a queue of 50, and of 500 in the second of three hours.
func filterInThreshold(f *field) {
	f.series(`queue_length{job="orders",instance="a"}`, 0, 3*time.Hour, 30*time.Second, inSecondHour(500, 50))
}

// inSecondHour is one value in the second hour, and another before and after it.
func inSecondHour(value, otherwise float64) func(after time.Duration) float64 {
	return func(after time.Duration) float64 {
		if after > time.Hour && after <= 2*time.Hour {
			return value
		}
		return otherwise
	}
}

// quantileAsEvents has 10 requests a second, of which 1 % take 2 s and 5 % fail.
func quantileAsEvents(f *field) {
	f.histogram("x_seconds", apiLabels, 6*time.Hour, map[string]float64{"0.5": .99, "2.5": 1})
	f.series(`http_requests_total{`+apiLabels+`,code="200"}`, 0, 6*time.Hour, 30*time.Second, perSecond(9.5))
	f.series(`http_requests_total{`+apiLabels+`,code="500"}`, 0, 6*time.Hour, 30*time.Second, perSecond(.5))
}

// TestValidateOfWhatCantBeMeant finds each in the text.
func TestValidateOfWhatCantBeMeant(t *testing.T) {
	for name, want := range map[string][]string{
		"inverted-bucket": {
			"6:25: warning: bad selects the observations of at most 0.5", "8:25: warning: bad selects the observations of at most 0.5",
			"10:26: warning: q_seconds_bucket without le", `12:25: warning: q_seconds_bucket with le!~"0.1|0.5"`, "14:25: warning: q_seconds_sum adds up",
		},
		"filter-in-threshold": {"8:31: warning: the query has values only while they are <= 100", "10:31: warning: the query has values only while they are > 100"},
		"quantile-as-events": {
			"8:15: warning: histogram_quantile() gives a time", "13:14: warning: histogram_quantile() gives a time",
			"18:14: warning: the comparison gives 0 or 1", "23:14: warning: the expression gives a ratio",
		},
		"ksm-job": {
			"8:33: warning: kube_job_status_completion_time has a series for each Job", "12:35: warning: kube_job_status_completion_time has a series for each Job",
			"16:30: warning: kube_job_status_succeeded has a series for each Job", "16:90: warning: kube_job_status_failed has a series for each Job",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &field{t: t, file: filepath.Join("testdata", "field", name+".yaml")}
			code, findings := f.validate("--strict")
			require.Equal(t, 1, code)
			for _, each := range want {
				require.Contains(t, findings, each)
			}
		})
	}
}

// probeValues has gauges that are no states: all are 0.4, 2, 3, 503 or -1 in the
// second of three hours.
func probeValues(f *field) {
	for name, values := range map[string][2]float64{
		"probe_http_status_code": {503, 200}, "ipmi_fan_state": {2, 0}, "cluster_health_percent": {3, 100}, "host_ok_ratio": {.4, 1}, "svc_up": {-1, 1},
	} {
		f.series(name+`{job="b",instance="h"}`, 0, 3*time.Hour, 30*time.Second, inSecondHour(values[0], values[1]))
	}
}

// TestCheckOfValuesThatAreNoStates finds each gauge, though two are 1 now.
func TestCheckOfValuesThatAreNoStates(t *testing.T) {
	f := openBucketCase(t, "probe-values")
	code, findings := f.check()
	require.Equal(t, 1, code)
	for name, value := range map[string]string{
		"probe_http_status_code": "200", "ipmi_fan_state": "2", "cluster_health_percent": "100", "host_ok_ratio": "0.4", "svc_up": "-1",
	} {
		require.Contains(t, findings, name+" has values such as "+value+" in the last day, and a probe is 0 or 1", findings)
	}
	require.Contains(t, findings, `hint: write an SLO of threshold: {query: 'probe_http_status_code', op: "==", value: ...} with the value that is good, such as 200 now`)
}

// ksmJobs has Jobs of Kubernetes, one a day with a name of its own, of which the last
// three are kept, and the time of the last success of their CronJob.
func ksmJobs(f *field) {
	const day, step = 24 * time.Hour, 2 * time.Minute
	var done []time.Duration
	for d := range 10 {
		if d != 6 {
			done = append(done, time.Duration(d)*day+2*time.Hour+5*time.Minute)
		}
	}
	unix := func(after time.Duration) float64 { return float64(f.at(after).Unix()) }
	for i, at := range done {
		end := 10 * day
		if i+3 < len(done) {
			end = done[i+3]
		}
		job := fmt.Sprintf(`{job="kube-state-metrics",instance="k:8080",namespace="db",job_name="backup-%d"}`, i)
		f.series("kube_job_status_completion_time"+job, at.Truncate(step)+step, end, step, func(time.Duration) float64 { return unix(at) })
		f.series("kube_job_status_succeeded"+job, at.Truncate(step)+step, end, step, func(time.Duration) float64 { return 1 })
	}
	f.series(`kube_job_status_failed{job="kube-state-metrics",instance="k:8080",namespace="db",job_name="backup-x6"}`, 6*day+3*time.Hour, 10*day, step, func(time.Duration) float64 { return 1 })
	f.series(`kube_cronjob_status_last_successful_time{job="kube-state-metrics",instance="k:8080",namespace="db",cronjob="backup"}`, done[0], 10*day, step, func(after time.Duration) float64 {
		last := math.NaN()
		for _, at := range done {
			if at <= after {
				last = unix(at)
			}
		}
		return last
	})
}

// TestCheckOfSeriesOfSingleRuns finds the series of Jobs, and passes those that go on.
func TestCheckOfSeriesOfSingleRuns(t *testing.T) {
	f := openBucketCase(t, "ksm-job")
	code, findings := f.check()
	require.Equal(t, 1, code)
	require.Equal(t, 2, strings.Count(findings, `each series of kube_job_status_completion_time{job_name=~"backup-.*"} is of one run`), findings)
	require.Contains(t, findings, `hint: write max(kube_job_status_completion_time{job_name=~"backup-.*"}), so that the last run counts`)
	require.NotContains(t, findings, "each series of max(")
	require.NotContains(t, findings, "each series of kube_cronjob")
}

// ageGauge has an age, a success that never was, and a time in minutes.
func ageGauge(f *field) {
	backup := func(name string, value func(after time.Duration) float64) {
		f.series(name, 0, 3*time.Hour, time.Minute, value)
	}
	last := float64(f.start.Add(-time.Hour).Unix())
	backup(`backup_age_seconds{job="b",instance="b"}`, func(after time.Duration) float64 { return 3600 + math.Mod(after.Seconds(), 600) })
	backup(`backup_last_success_timestamp_seconds{job="b",instance="b",db="never"}`, func(time.Duration) float64 { return 0 })
	backup(`backup_last_success_timestamp_seconds{job="b",instance="b",db="a"}`, func(time.Duration) float64 { return last })
	backup(`backup_last_success_minutes{job="b",instance="b"}`, func(time.Duration) float64 { return last / 60 })
	backup(`backup_last_success_millis{job="b",instance="b"}`, func(time.Duration) float64 { return last * 1000 })
}

// TestTimesThatAreNone are refused by the service and by check, with what to write.
func TestTimesThatAreNone(t *testing.T) {
	f := openBucketCase(t, "age-gauge")
	code, findings := f.check()
	require.Equal(t, 1, code)
	for name, want := range map[string][2]string{
		"age":     {"which is an age, not a time: as a time it is of 1970", "write time() - (backup_age_seconds)"},
		"minutes": {"which is a time in minutes, not in seconds", "write 60 * (backup_last_success_minutes)"},
		"millis":  {"which is a time in milliseconds, not in seconds", "write (backup_last_success_millis) / 1000"},
	} {
		s := f.status(3 * time.Hour)[name]
		require.Equal(t, evaluator.StateQueryFailed, s.State, name)
		require.Contains(t, s.StateReason, want[0]+"; "+want[1])
		require.Contains(t, findings, want[0])
		require.Contains(t, findings, "hint: "+want[1])
	}
	require.Contains(t, findings, "backup_last_success_timestamp_seconds is 0 for 1 of 2 series: each counts as a success in 1970")
	requireOwn(t, f.status(3 * time.Hour)["never"], 180, 180, 1)
}

// TestCheckOfRunsThatAreCountedTwice finds that good is counted later than total,
// wherever the instants of the query fall between samples.
func TestCheckOfRunsThatAreCountedTwice(t *testing.T) {
	for _, c := range fieldCases() {
		if c.name != "started-finished" {
			continue
		}
		for shift := range 5 {
			c.data = func(f *field) { f.startAndFinish(time.Hour + time.Duration(2*shift)*time.Minute) }
			_, findings := c.open(t).check()
			require.Contains(t, findings, "% of the good events of a day are counted later than total counts them: meanwhile they are bad, so that pages come though nothing failed", shift)
		}
	}
}
