package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// realSLOs are SLOs of a Prometheus that scrapes itself and a node. Nobody but
// the test asks for ranges, so it knows how many requests there were.
const realSLOs = `apiVersion: slowburn/v1
service: prometheus
owner: team-platform
labels: {tier: "1"}
links: {runbook: https://runbooks.example.org/prometheus}
defaults: {window: 1h}
slos:
  - name: ranges
    description: Range queries that are answered <well> & in time.
    objective: 90
    sli:
      events:
        bad: prometheus_http_requests_total{job="self",handler="/api/v1/query_range",code=~"5..|4.."}
        total: prometheus_http_requests_total{job="self",handler="/api/v1/query_range"}
  - name: all
    objective: 99
    sli:
      events:
        good: prometheus_http_requests_total{job="self",code!~"5..|4.."}
        total: prometheus_http_requests_total{job="self"}
  - name: latency
    objective: 99.5
    sli:
      latency:
        histogram: prometheus_http_request_duration_seconds{job="self"}
        threshold: 400ms
`

// nodeSLOs are SLOs of the node, one of them without any data.
const nodeSLOs = `apiVersion: slowburn/v1
service: node
slos:
  - name: scrapes
    objective: 99.9
    window: 30d
    sli:
      events:
        bad: promhttp_metric_handler_requests_total{job="node",code!="200"}
        total: promhttp_metric_handler_requests_total{job="node"}
  - name: nothing
    objective: 99.9
    window: 1h
    sli:
      events:
        bad: no_such_metric_total{code="500"}
        total: no_such_metric_total
`

// scraping starts a Prometheus that scrapes itself and a node each second. The
// options' configuration is of each job.
func scraping(t *testing.T, o servers.PrometheusOptions) *servers.Server {
	t.Helper()
	o.ConfigYAML = `
global: {scrape_interval: 1s}
scrape_configs:
- {job_name: self, static_configs: [{targets: [$ADDR]}], ` + o.ConfigYAML + `}
- {job_name: node, static_configs: [{targets: [` + servers.NodeExporter(t).Addr + `]}], ` + o.ConfigYAML + `}
`
	return servers.Prometheus(t, o)
}

// askRange sends one range query, a good one or one that is answered 400.
func askRange(t *testing.T, prom *servers.Server, good bool) {
	t.Helper()
	q, want := "up", http.StatusOK
	if !good {
		q, want = "up{", http.StatusBadRequest
	}
	code, body := get(t, prom.URL+"/api/v1/query_range?start=0&end=0&step=1&query="+url.QueryEscape(q))
	require.Equal(t, want, code, body)
}

// ask is the answer to an instant query: of each series its samples, as
// [time in seconds, value].
func ask(t *testing.T, prom *servers.Server, promql string, at time.Time) [][][2]float64 {
	t.Helper()
	code, body := get(t, fmt.Sprintf("%s/api/v1/query?time=%d&query=%s", prom.URL, at.Unix(), url.QueryEscape(promql)))
	require.Equal(t, http.StatusOK, code, body)
	var answer struct {
		Data struct {
			Result []struct {
				Value  [2]any
				Values [][2]any
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	var out [][][2]float64
	for _, series := range answer.Data.Result {
		if series.Values == nil {
			series.Values = [][2]any{series.Value}
		}
		var samples [][2]float64
		for _, s := range series.Values {
			v, err := strconv.ParseFloat(s[1].(string), 64)
			require.NoError(t, err)
			samples = append(samples, [2]float64{s[0].(float64), v})
		}
		out = append(out, samples)
	}
	return out
}

// grown returns what counters of processes that began with the test had counted by an
// instant, by their last raw samples.
func grown(t *testing.T, prom *servers.Server, selector string, at time.Time) float64 {
	t.Helper()
	sum := 0.0
	for _, series := range ask(t, prom, selector+"[1h]", at) {
		sum += series[len(series)-1][1]
	}
	return sum
}

// TestServeCountsWhatAPrometheusScrapes has a service count the requests that a
// real Prometheus answers, and finds the numbers that were made wherever they
// are shown.
func TestServeCountsWhatAPrometheusScrapes(t *testing.T) {
	t.Parallel()
	for name, bin := range map[string]string{"oldest": "", "newest": servers.Newest(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serveAndCount(t, scraping(t, servers.PrometheusOptions{Bin: bin}))
		})
	}
}

func serveAndCount(t *testing.T, prom *servers.Server) {
	const ranges = `prometheus_http_requests_total{job="self",handler="/api/v1/query_range"}`
	askRange(t, prom, true)
	until(t, waitLimit, "the first range query is scraped", func() bool {
		r := ask(t, prom, ranges+` == 1 and on () up{job="node"} == 1`, time.Now())
		return len(r) == 1
	})
	dir := t.TempDir()
	write(t, dir, "slos/prometheus.yaml", realSLOs)
	write(t, dir, "slos/node.yaml", nodeSLOs)
	s := serving(t, "--config", write(t, dir, "slowburn.yaml", `
specs: [{directory: `+dir+`/slos}]
backends: [{url: `+prom.URL+`, offset: 5s, settle: 1m}]
web: {external_url: https://slo.example.org}
`))
	const good, bad = 37, 13
	for range good {
		askRange(t, prom, true)
	}
	for range bad {
		askRange(t, prom, false)
	}
	asked := time.Now()
	var r api
	until(t, 3*time.Minute, "an evaluation of all requests", func() bool {
		r = s.report()
		return r.EvaluatedAt.After(asked.Add(time.Second))
	})
	at := r.EvaluatedAt

	st := r.slo("prometheus/ranges")
	require.Equal(t, evaluator.StateOK, st.State, st.StateReason)
	own := st.Windows[len(st.Windows)-1]
	require.Equal(t, "1h", own.Name)
	require.Equal(t, at, own.End)
	require.Equal(t, float64(bad), own.Bad, "the series of 400s was born with the first of them")
	const first = 1.0 // counted before the first scrape, by a process that began just then
	require.Equal(t, good+bad+first, own.Total)
	require.InDelta(t, bad/(good+bad+first)/0.1, *st.Budget.Consumed, 1e-12, "10 %% of the requests may fail")
	require.InDelta(t, 1-*st.Budget.Consumed, *st.Budget.Remaining, 1e-12)

	const all, node = `prometheus_http_requests_total{job="self"}`, `promhttp_metric_handler_requests_total{job="node"}`
	const buckets = `prometheus_http_request_duration_seconds_bucket{job="self",le="0.4"}`
	const observed = `prometheus_http_request_duration_seconds_count{job="self"}`
	total := grown(t, prom, observed, at)
	for id, want := range map[string][2]float64{
		"prometheus/all":     {grown(t, prom, all, at), grown(t, prom, `prometheus_http_requests_total{job="self",code=~"4..|5.."}`, at)},
		"prometheus/latency": {total, total - grown(t, prom, buckets, at)},
		"node/scrapes":       {grown(t, prom, node, at), 0},
	} {
		st := r.slo(id)
		require.Equal(t, evaluator.StateOK, st.State, "%s: %s", id, st.StateReason)
		own := st.Windows[len(st.Windows)-1]
		require.Greater(t, own.Total, 0.0)
		require.Equal(t, want, [2]float64{own.Total, own.Bad}, "%s against the raw samples", id)
	}
	st = r.slo("node/nothing")
	require.Equal(t, evaluator.StateNoData, st.State)
	require.Nil(t, st.Budget.Remaining)

	s.requireStatusSaysTheSame(r, dir+"/slos", prom.URL)
	s.requireMetricsSayTheSame()
	s.requirePageSaysTheSame()
}

// requireStatusSaysTheSame holds `slowburn status` at the instant of a report
// against it, byte for byte.
func (s *served) requireStatusSaysTheSame(r api, slos, backend string) {
	s.t.Helper()
	until(s.t, time.Minute, "the default offset", func() bool { return time.Since(r.EvaluatedAt) > 31*time.Second })
	code, stdout, stderr := command(s.t, "status", slos, "--backend", backend, "--at", strconv.FormatInt(r.EvaluatedAt.Unix(), 10), "-o", "json")
	require.Equal(s.t, 0, code, stderr)
	again := decodeReport(s.t, stdout)
	require.Equal(s.t, r.EvaluatedAt, again.EvaluatedAt)
	require.Equal(s.t, r.ids(), again.ids())
	for id, raw := range r.raw {
		require.Equal(s.t, raw, again.raw[id])
	}
}

// requireMetricsSayTheSame holds /metrics against the API's newest report.
func (s *served) requireMetricsSayTheSame() {
	s.t.Helper()
	var r api
	var metrics map[string]float64
	until(s.t, time.Minute, "metrics and report of one evaluation", func() bool {
		r = s.report()
		metrics = s.metrics()
		return s.report().EvaluatedAt.Equal(r.EvaluatedAt)
	})
	base := `slo="ranges",slo_id="prometheus/ranges",slo_service="prometheus"`
	st := r.slo("prometheus/ranges")
	own := st.Windows[len(st.Windows)-1]
	want := map[string]float64{
		`slo_info{owner="team-platform",revision="",` + base + `,source="evaluator",tier="1",window="1h"}`: 1,
		`slo_objective_ratio{` + base + `}`:                                            0.9,
		`slo_sli_ratio{` + base + `}`:                                                  *own.SLI,
		`slo_coverage_ratio{` + base + `}`:                                             own.Coverage,
		`slo_window_events{result="good",` + base + `}`:                                own.Total - own.Bad,
		`slo_window_events{result="bad",` + base + `}`:                                 own.Bad,
		`slo_error_budget_events{` + base + `}`:                                        *st.Budget.Allowed,
		`slo_error_budget_remaining_ratio{` + base + `}`:                               *st.Budget.Remaining,
		`slo_data_state{` + base + `,state="ok"}`:                                      1,
		`slo_last_evaluation_timestamp_seconds{` + base + `}`:                          float64(r.EvaluatedAt.Unix()),
		`slowburn_backend_up{backend="default"}`:                                       1,
		`slo_alert_firing{alertname="ErrorBudgetBurn",severity="page",` + base + `}`:   0,
		`slo_alert_firing{alertname="ErrorBudgetBurn",severity="ticket",` + base + `}`: 0,
	}
	for _, a := range st.Alerts {
		want[`slo_alert_firing{alertname="`+a.Name+`",severity="`+a.Severity+`",`+base+`}`] = 1
	}
	for _, w := range st.Windows[:len(st.Windows)-1] { // the policy's
		want[`slo_burn_rate{`+base+`,window="`+w.Name+`"}`] = *w.BurnRate
	}
	for series, v := range want {
		require.Contains(s.t, metrics, series)
		require.InDelta(s.t, v, metrics[series], 1e-12, series)
	}
	nothing := `slo="nothing",slo_id="node/nothing",slo_service="node"`
	require.Contains(s.t, metrics, `slo_data_state{`+nothing+`,state="no_data"}`)
	require.NotContains(s.t, metrics, `slo_sli_ratio{`+nothing+`}`, "undefined is absent")
	require.NotContains(s.t, metrics, `slo_error_budget_remaining_ratio{`+nothing+`}`)
}
