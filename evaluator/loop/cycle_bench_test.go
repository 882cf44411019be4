package loop_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// BenchmarkCycle10000 is one cycle of 10,000 SLOs over 30 d, each with counters
// of its own and its timeline full, on a backend that answers at once: reading,
// counting, alerts, windows, budgets and the report. It also reports the CPU
// time of a cycle, and the memory that is in use after it.
func BenchmarkCycle10000(b *testing.B) {
	const n = 10_000
	end := timeline.Minute(30_000_000)
	before := heap()
	e := loop.New(instant(2, func() time.Time { return end.Time().Add(time.Minute) }))
	e.Fill(manySLOs(b, n, "30d"), end, func(m timeline.Minute) timeline.Slot {
		bad := 0.0
		if m%7 == 0 {
			bad = 1
		}
		return timeline.Slot{Total: float64(1550 + m*7919%97), Bad: bad, Known: true}
	})
	cycle := func() {
		end++
		require.True(b, e.Cycle(b.Context(), end))
	}
	cycle()
	e.Remember()
	cycle()
	require.Equal(b, map[evaluator.State]int{evaluator.StateOK: n}, states(e.Report()))
	for _, w := range e.Report().SLOs[0].Windows {
		require.Equal(b, 1.0, w.Coverage)
	}
	begin := cpu(b)
	b.ReportAllocs()
	for b.Loop() {
		cycle()
	}
	b.ReportMetric((cpu(b)-begin).Seconds()/float64(b.N), "cpu-s/cycle")
	b.ReportMetric(float64(heap()-before)/n, "B/SLO")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.Sys-m.HeapReleased)/(1<<20), "MiB-of-the-system")
	runtime.KeepAlive(e)
}

// BenchmarkSeries10000 is one cycle of an SLO over 10,000 series. It also
// reports the memory that a series takes.
func BenchmarkSeries10000(b *testing.B) {
	const n = 10_000
	end := timeline.Minute(30_000_000)
	o := instant(n/2, func() time.Time { return end.Time().Add(time.Minute) })
	o.NewJudge = nil
	e := loop.New(o)
	e.Fill(manySLOs(b, 1, "1h"), end, func(timeline.Minute) timeline.Slot { return timeline.Slot{Known: true} })
	before := heap()
	cycle := func() {
		end++
		require.True(b, e.Cycle(b.Context(), end))
	}
	cycle()
	e.Remember()
	cycle()
	require.Equal(b, n/2*800*3.5, e.Report().SLOs[0].Windows[0].Total)
	b.ReportAllocs()
	for b.Loop() {
		cycle()
	}
	b.ReportMetric(float64(heap()-before)/n, "B/series")
	runtime.KeepAlive(e)
}

// instant are options on a backend that answers at once, with the counters of
// so many processes for each SLO.
func instant(processes int, now func() time.Time) loop.Options {
	o := options("http://localhost", now)
	o.Log, o.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	o.Windows, o.NewJudge, o.Lookback = alerting.BuiltIn().Windows, alerting.BuiltIn().NewJudge, alerting.BuiltIn().Lookback
	o.Backends[0].HTTP, o.Backends[0].Kind = &http.Client{Transport: counters(processes)}, "prometheus"
	return o
}

// manySLOs are SLOs on counters of their own: four of five are ratios.
func manySLOs(tb testing.TB, n int, window string) []*slo.SLO {
	tb.Helper()
	var files []spec.File
	for i := range n {
		sli := fmt.Sprintf(`events: {bad: 'requests_total{job="service%d",code=~"5.."}', total: 'requests_total{job="service%[1]d"}'}`, i)
		if i%5 == 4 {
			sli = fmt.Sprintf(`latency: {histogram: 'latency_seconds{job="service%d"}', threshold: 300ms}`, i)
		}
		files = append(files, spec.File{Name: fmt.Sprintf("%d.yaml", i), Text: fmt.Appendf(nil,
			"apiVersion: slowburn/v1\nservice: service%d\nowner: team\nslos:\n  - {name: slo, objective: 99.9, window: %s, sli: {%s}}\n", i, window, sli)})
	}
	set := spec.Load(files)
	require.Empty(tb, set.Findings)
	return set.SLOs
}

// counters answers each range of raw samples at once, as a Prometheus would that
// scrapes so many processes every 30 s.
type counters int

func (c counters) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	end, _ := strconv.ParseInt(form.Get("time"), 10, 64)
	query := strings.TrimSuffix(form.Get("query"), "]")
	length := strings.LastIndexByte(query, '[') // one in a matcher comes before it
	d, err := model.ParseDuration(query[length+1:])
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(query, "{")
	_, jobs, _ := strings.Cut(query, `job=`)
	jobs, _, _ = strings.Cut(strings.TrimLeft(jobs, `~"`), `"`)
	_, only, _ := strings.Cut(query, `instance=`)
	only, _, _ = strings.Cut(strings.ReplaceAll(strings.TrimLeft(only, `~"`), `\\.`, "."), `"`)
	instances := map[string]bool{}
	for instance := range strings.SplitSeq(only, "|") {
		instances[instance] = true
	}
	var out bytes.Buffer
	out.WriteString(`{"status":"success","data":{"resultType":"matrix","result":[`)
	series := func(job string, i int, label string, rate int64) {
		instance := fmt.Sprintf("10.0.%d.%d:8080", i/256, i%256)
		if only != "" && !instances[instance] {
			return
		}
		fmt.Fprintf(&out, `{"metric":{"__name__":"%s","cluster":"eu-1","namespace":"shop",%s"instance":"%s","job":"%s"},"values":[`,
			name, label, instance, job)
		for at := (end-int64(time.Duration(d).Seconds()))/30*30 + 30; at <= end; at += 30 {
			fmt.Fprintf(&out, `[%d.%03d,"%d"],`, at-1, i%1000, 1000+at*rate/3)
		}
		out.Truncate(out.Len() - 1)
		out.WriteString(`]},`)
	}
	for job := range strings.SplitSeq(jobs, "|") { // several of start times
		for i := range int(c) {
			switch {
			case strings.HasSuffix(name, "_total"):
				series(job, i, `"code":"200",`, 40)
				series(job, i, `"code":"500",`, 0)
			case name == "process_start_time_seconds":
				series(job, i, "", 0)
			case strings.HasSuffix(name, "_bucket"):
				series(job, i, `"le":"0.3",`, 40)
			default:
				series(job, i, "", 40)
			}
		}
	}
	out.Truncate(out.Len() - 1)
	out.WriteString(`]}}`)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(&out), Request: r}, nil
}

// heap is the memory in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpu is the CPU time that the process took so far.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
