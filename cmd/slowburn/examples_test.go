package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config"
	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// examples are the SLOs that docs/reference/slo-file.md shows, read together: whole files,
// and SLOs of a list.
func examples(t *testing.T) *spec.Set {
	t.Helper()
	var files []spec.File
	count := map[string]int{}
	for i, example := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(pages(t)["docs/reference/slo-file.md"], -1) {
		f := spec.File{Name: fmt.Sprintf("slos/%d.yaml", i), Text: []byte(example[1])}
		switch {
		case strings.HasPrefix(example[1], "- name: "):
			count["SLO"]++
			f.Text = []byte("apiVersion: slowburn/v1\nservice: checkout\nlabels: {tier: '1'}\nslos:\n" + example[1])
		case strings.HasPrefix(example[1], "# "):
			count["defaults"]++
			f.Name = strings.Fields(example[1])[1]
		case strings.Contains(example[1], "kind: Exclusion"):
			count["exclusion"]++
		default:
			count["file"]++
		}
		files = append(files, f)
	}
	set := spec.Load(files)
	for _, f := range set.Findings {
		require.Equal(t, yamlfile.Warning, f.Severity, f.Text())
		require.Contains(t, f.Text(), "only VictoriaMetrics answers this query")
	}
	require.Equal(t, map[string]int{"SLO": 25, "defaults": 1, "exclusion": 1, "file": 1}, count)
	require.Len(t, set.SLOs, count["SLO"]+2)
	return set
}

// The examples are evaluated at a Tuesday's noon, with six hours of samples, one
// a minute, after them. All but those of the first file have a window of this
// quarter, from the file of defaults.
var (
	examplesEnd   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	examplesStart = examplesEnd.Add(-6 * time.Hour)
)

// seriesOfExamples are what the examples select in the first backend. Numbers
// are those of minutes 0 to 360.
func seriesOfExamples() string {
	since := func(d time.Duration) int64 { return examplesStart.Add(d).Unix() }
	return fmt.Sprintf(`
		http_requests_total{job="checkout",instance="a",code="200"} 0+9x360
		http_requests_total{job="checkout",instance="a",code="500"} 0+1x180 180x179
		http_request_duration_seconds_bucket{job="checkout",instance="a",le="0.3"} 0+10x270 2708+8x89
		http_request_duration_seconds_bucket{job="checkout",instance="a",le="+Inf"} 0+10x360
		http_request_duration_seconds_count{job="checkout",instance="a"} 0+10x360
		requests_total{instance="a",tenant="acme"} 0+10x360
		requests_total{instance="a",tenant="globex"} 0+10x360
		errors_total{instance="a",tenant="acme"} 0+5x180 900x179
		cache_hits_total{instance="a"} 0+17x360
		worker_tasks_total{job="a",instance="a"} 0+30x360
		worker_errors_total{job="a",instance="a"} 0+3x360
		worker_tasks_total{job="a",instance="b"} 0+20x360
		worker_errors_total{job="a",instance="b"} 0+1x360
		db_query_duration_milliseconds_bucket{job="db",instance="a",le="250"} 0+9x360
		db_query_duration_milliseconds_bucket{job="db",instance="a",le="+Inf"} 0+10x360
		db_query_duration_milliseconds_count{job="db",instance="a"} 0+10x360
		upload_size_bytes_bucket{job="checkout",instance="a",le="1.048576e+06"} 0+8x360
		upload_size_bytes_bucket{job="checkout",instance="a",le="+Inf"} 0+10x360
		upload_size_bytes_count{job="checkout",instance="a"} 0+10x360
		aws_applicationelb_request_count_sum{name="a"} 10x360
		aws_applicationelb_httpcode_target_5xx_count_sum{name="a"} 1x360
		{"http.server.requests",instance="a","http.status"="200"} 0+9x360
		{"http.server.requests",instance="a","http.status"="500"} 0+1x360
		probe_success{job="blackbox",instance="a"} 1x360
		probe_success{job="blackbox",instance="b"} 1x180
		up{job="checkout",instance="a"} 1x99 0x35 1x224
		queue_length{job="orders",queue="new"} 50x99 _x100 50x69 150x90
		orders_total{instance="a"} 0+10x100 _x99 2000+10x160
		orders_failed_total{instance="a"} 0x100 _x99 0x160
		licences_free{job="cad"} 5x180
		backup_last_success_timestamp_seconds{database="a"} %dx360
		job_last_success_timestamp_seconds{job="nightly"} %dx239 %dx120
		jobs_total{result="success"} 0+9x360
		jobs_total{result="failure"} 0+1x360`, since(-23*time.Hour), since(-23*time.Hour), since(4*time.Hour))
}

// TestExamplesOfTheSLOFile evaluates all examples of docs/reference/slo-file.md, those in
// MetricsQL in a VictoriaMetrics.
func TestExamplesOfTheSLOFile(t *testing.T) {
	t.Parallel()
	set := examples(t)
	urls := map[string]string{
		"default":  memoryWith(t, seriesOfExamples()),
		"eu":       memoryWith(t, "orders_total{instance=\"a\"} 0+10x360\norders_failed_total{instance=\"a\"} 0+2x360"),
		"victoria": victoriaWith(t, `answers_total{result="right"}`, 9, `answers_total{result="wrong"}`, 1),
	}
	r, err := evaluatorOf(t, urls).EvaluateAt(t.Context(), set.SLOs, examplesEnd)
	require.NoError(t, err)
	wants := map[string]struct{ bad, total float64 }{
		"availability":             {180, 9*360 + 180},
		"latency":                  {2 * 90, 3600},
		"errors":                   {180, 9*360 + 180},
		"cached":                   {3 * 360, 20 * 360},
		"busiest":                  {1.5 + 3*359, 15 + 30*359}, // of the first minute half the range has samples
		"otel":                     {360, 3600},
		"balancer":                 {361, 3610},
		"answers":                  {0.5 + 359, 5 + 10*359}, // as above
		"query-latency":            {360, 3600},
		"upload-size":              {2 * 360, 3600},
		"reachable":                {358 - 182, 361 + 181 + 358 - 182}, // b is bad from two scrapes after its last sample until what is settled
		"queue":                    {91, 361 - 96},                     // no value from minute 104 to 199
		"backup":                   {180, 361},                         // too old from minute 181 on
		"jobs":                     {360, 3600},
		"nightly":                  {1, 2}, // none by minute 180, one at minute 240
		"journey":                  {180 + 90, 360},
		"monthly":                  {36, 361},
		"slices":                   {36, 72},
		"tenants":                  {900, 7200},
		`tenants{tenant="acme"}`:   {900, 3600},
		`tenants{tenant="globex"}`: {0, 3600},
		"office":                   {5 * 120, 20 * 300}, // from 8 o'clock in Berlin on
		"raised":                   {900, 7200},
		"agreed":                   {900, 7200},
		"licences":                 {358 - 184, 359}, // a value is good for less than 5 minutes
		"slices-without-gaps":      {19, 72},         // nothing from minute 101 to 195; minute 200 has the events of the gap
		"journey-without-gaps":     {257, 361},       // no queue from minute 104 to 199, no backup from 181 to 360
		"orders-eu":                {2 * 360, 3600},
		"woken":                    {900, 7200},
	}
	byName := map[string]*evaluator.Status{}
	for i := range r.SLOs {
		s := &r.SLOs[i]
		name := strings.TrimPrefix(s.ID, "checkout/")
		byName[name] = s
		want, ok := wants[name]
		require.True(t, ok, name)
		own := s.Windows[len(s.Windows)-1]
		require.Equal(t, evaluator.StateOK, s.State, "%s: %s", name, s.StateReason)
		require.Equal(t, [2]float64{want.bad, want.total}, [2]float64{own.Bad, own.Total}, "bad and total of %s", name)
		require.InDelta(t, 1-want.bad/want.total, *own.SLI, 1e-12, name)
		require.Equal(t, "eu", s.Labels["region"], "from the file of defaults")
	}
	require.Len(t, byName, len(wants))
	require.Equal(t, 0.9995, byName[`tenants{tenant="acme"}`].Objective)
	require.Equal(t, 0.999, byName[`tenants{tenant="globex"}`].Objective)

	// With 20 requests a minute for the rest of the quarter but three days that are
	// closed, less than 25 % of the budget are left.
	agreed := byName["agreed"]
	const projected = 7200 + 20*((6+31-3)*24*60+12*60)
	require.InDelta(t, projected, *agreed.Budget.ProjectedTotal, 1e-6)
	require.InDelta(t, 1-900/(0.001*projected), *agreed.Budget.Remaining, 1e-9)
	require.Equal(t, "warn", agreed.Gate)

	on := func(day string) evaluator.Status {
		at, err := time.Parse(time.DateOnly, day)
		require.NoError(t, err)
		r, err := evaluatorOf(t, urls).EvaluateAt(t.Context(), []*slo.SLO{byName["raised"].Spec}, at)
		require.NoError(t, err)
		return r.SLOs[0]
	}
	for day, objective := range map[string]float64{"2026-03-31": 0.99, "2026-06-30": 0.995, "2026-07-01": 0.999} {
		require.Equal(t, objective, on(day).Objective, day)
	}
	closed := on("2026-12-25").Excluded
	require.True(t, closed.Now)
	require.Equal(t, 24*60, closed.Slots, "since the 24th began")
	require.Equal(t, "CHG-9", closed.By[0].Ticket)
}

// evaluatorOf is an evaluator of backends by their names, of which default is the
// first.
func evaluatorOf(t *testing.T, urls map[string]string) *loop.Loop {
	t.Helper()
	cfg := config.Default()
	for _, name := range []string{"default", "eu", "victoria"} {
		b, err := config.NewBackend(name, urls[name])
		require.NoError(t, err)
		cfg.Backends = append(cfg.Backends, b)
	}
	o, err := evaluatorOptions(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	require.NoError(t, err)
	o.Now = func() time.Time { return examplesEnd.AddDate(0, 2, 0) }
	return loop.New(o)
}

// memoryWith is the address of an embedded Prometheus with series.
func memoryWith(t *testing.T, series string) string {
	t.Helper()
	db := servers.Embedded(t)
	require.NoError(t, db.Load(context.Background(), examplesStart, time.Minute, series))
	server := httptest.NewServer(db.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// victoriaWith is the address of a VictoriaMetrics with two counters, which grow
// by so much a minute.
func victoriaWith(t *testing.T, a string, byA int, b string, byB int) string {
	t.Helper()
	var text bytes.Buffer
	for minute := range 361 {
		at := examplesStart.Add(time.Duration(minute) * time.Minute).UnixMilli()
		fmt.Fprintf(&text, "%s %d %d\n%s %d %d\n", a, minute*byA, at, b, minute*byB, at)
	}
	url := servers.VictoriaMetrics(t, servers.VictoriaMetricsOptions{Bin: servers.NewestVictoriaMetrics(t)}).URL
	resp, err := http.Post(url+"/api/v1/import/prometheus", "text/plain", &text)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	resp, err = http.Get(url + "/internal/force_flush")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return url
}
