package loop_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
)

// dataEnd is the end of the data in real servers, of which VictoriaMetrics
// takes none from the future. It is not on the grid of anything.
var dataEnd = time.Date(2025, 6, 20, 12, 3, 0, 0, time.UTC)

// history is all that an SLO over 3 days reads, and an hour.
const history = (3*24 + 24 + 1) * time.Hour

// lastDays simulates services, and keeps the samples of the last days.
func lastDays(services []truth.Service) map[string]*truth.World {
	var mu sync.Mutex
	var wg sync.WaitGroup
	worlds := map[string]*truth.World{}
	places := make(chan struct{}, runtime.GOMAXPROCS(0)) // worlds are large before they are cut
	from := dataEnd.Add(-history).UnixMilli()
	for _, s := range services {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			w := truth.Simulate(s, dataEnd.Add(-truth.Days*24*time.Hour), dataEnd)
			for _, x := range w.Series {
				x.Samples = slices.Clone(slices.DeleteFunc(x.Samples, func(x truth.Sample) bool { return x.T <= from }))
			}
			w.Series = slices.DeleteFunc(w.Series, func(x *truth.Series) bool { return len(x.Samples) == 0 })
			mu.Lock()
			defer mu.Unlock()
			worlds[s.Job] = w
		})
	}
	wg.Wait()
	return worlds
}

// prometheusWith runs a Prometheus of whose TSDB the samples are a block.
func prometheusWith(t *testing.T, bin string, worlds map[string]*truth.World, flags ...string) string {
	t.Helper()
	return prometheusOf(t, bin, func(begin func() storage.Appender) {
		for _, w := range worlds {
			app := begin()
			for _, s := range w.Series {
				for _, x := range s.Samples {
					_, err := app.Append(0, s.Labels, x.T, x.V)
					require.NoError(t, err)
				}
			}
			require.NoError(t, app.Commit())
		}
	}, flags...)
}

// prometheusOf runs a Prometheus of whose TSDB what is written is a block.
func prometheusOf(t *testing.T, bin string, write func(begin func() storage.Appender), flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	block, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 4*history.Milliseconds())
	require.NoError(t, err)
	write(func() storage.Appender { return block.Appender(t.Context()) })
	_, err = block.Flush(t.Context())
	require.NoError(t, err)
	require.NoError(t, block.Close())
	return servers.Prometheus(t, servers.PrometheusOptions{Bin: bin, DataDir: dir, Flags: flags}).URL
}

// victoriaMetricsWith runs a VictoriaMetrics that was written the samples.
func victoriaMetricsWith(t *testing.T, bin string, worlds map[string]*truth.World, flags ...string) string {
	t.Helper()
	vm := servers.VictoriaMetrics(t, servers.VictoriaMetricsOptions{Bin: bin, Flags: flags})
	for _, w := range worlds {
		var r prompb.WriteRequest
		for _, s := range w.Series {
			ts := prompb.TimeSeries{Labels: prompb.FromLabels(s.Labels, nil)}
			for _, x := range s.Samples {
				ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: x.T, Value: x.V})
			}
			r.Timeseries = append(r.Timeseries, ts)
		}
		body, err := r.Marshal()
		require.NoError(t, err)
		resp, err := http.Post(vm.URL+"/api/v1/write", "application/x-protobuf", bytes.NewReader(snappy.Encode(nil, body)))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
	}
	resp, err := http.Get(vm.URL + "/internal/force_flush")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return vm.URL
}

// embeddedWith is an embedded Prometheus with the samples.
func embeddedWith(t *testing.T, worlds map[string]*truth.World) string {
	t.Helper()
	db := servers.Embedded(t)
	for _, w := range worlds {
		store(t, db, w)
	}
	server := httptest.NewServer(db.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// countIn counts the services' SLOs over 3 days in a server, at an instant. It
// gives the number of queries that were refused, too.
func countIn(t *testing.T, url string, services []truth.Service, at time.Time) (r *evaluator.Report, refused float64) {
	t.Helper()
	return countBy(t, evaluator.MethodRaw, url, services, at)
}

func countBy(t *testing.T, method, url string, services []truth.Service, at time.Time) (*evaluator.Report, float64) {
	t.Helper()
	var slos []*slo.SLO
	for _, s := range services {
		slos = append(slos, specOf(t, s, "3d"))
	}
	o := options(url, func() time.Time { return at.Add(time.Hour) })
	o.Windows = truthWindows
	o.Backends[0].ReplicaLabels, o.Backends[0].Timeout, o.Backends[0].Method = []string{"prometheus_replica"}, time.Minute, method
	r, err := loop.New(o).EvaluateAt(t.Context(), slos, at)
	require.NoError(t, err)
	families, err := o.Registerer.(prometheus.Gatherer).Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "slowburn_backend_requests_total" && m.GetLabel()[1].GetValue() == "422" {
				return r, m.GetCounter().GetValue()
			}
		}
	}
	return r, 0
}

// requireSame holds the JSON of reports against each other, an SLO at a time.
func requireSame(t *testing.T, want, got *evaluator.Report) {
	t.Helper()
	text := func(v any) string {
		out, err := json.Marshal(v)
		require.NoError(t, err)
		return string(out)
	}
	for i := range want.SLOs {
		if x, y := text(want.SLOs[i]), text(got.SLOs[i]); x != y {
			t.Errorf("%s\nwant %s\ngot  %s", want.SLOs[i].ID, x, y)
		}
	}
	require.Equal(t, text(want), text(got))
}

// TestTheSameNumbersInEveryBackend counts all scenarios in the oldest and the
// newest servers and in the embedded one, and holds the counts against the
// truth. Hours later all say that the whole backend is stale, and since when.
func TestTheSameNumbersInEveryBackend(t *testing.T) {
	services := slices.SortedFunc(maps.Values(scenarios()), func(a, b truth.Service) int { return strings.Compare(a.Job, b.Job) })
	worlds := lastDays(services)
	embedded := embeddedWith(t, worlds)
	want, _ := countIn(t, embedded, services, dataEnd)
	for i := range want.SLOs {
		requireTrue(t, &want.SLOs[i], worlds[want.SLOs[i].Service], within)
	}
	later := dataEnd.Add(2 * time.Hour)
	stale, _ := countIn(t, embedded, services[:1], later)
	require.Equal(t, evaluator.StateStale, stale.SLOs[0].State)
	for name, start := range map[string]func(*testing.T) string{
		"the oldest Prometheus":      func(t *testing.T) string { return prometheusWith(t, "", worlds) },
		"the newest Prometheus":      func(t *testing.T) string { return prometheusWith(t, servers.Newest(t), worlds) },
		"the oldest VictoriaMetrics": func(t *testing.T) string { return victoriaMetricsWith(t, "", worlds) },
		"the newest VictoriaMetrics": func(t *testing.T) string { return victoriaMetricsWith(t, servers.NewestVictoriaMetrics(t), worlds) },
	} {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			got, _ := countIn(t, address, services, dataEnd)
			requireSame(t, want, got)
			require.Equal(t, kindOf(name), got.Backends[0].Kind)
			got, _ = countIn(t, address, services[:1], later)
			requireSame(t, stale, got)
			got, _ = countIn(t, below(t, "/select/0/prometheus", address), services, dataEnd) // as a vmselect is
			requireSame(t, want, got)
			sums, _ := countBy(t, evaluator.MethodAggregated, address, services, dataEnd)
			for i := range sums.SLOs {
				requireTrue(t, &sums.SLOs[i], worlds[sums.SLOs[i].Service], max(within, aggregatedLess[nameOf(sums.SLOs[i].Service)]))
			}
		})
	}
}

// TestEveryKindInEveryBackend evaluates kinds other than counters in the oldest
// and the newest servers and in the embedded one: all say the same of processes
// that restart each hour, each of which is a run, and of those that are steady.
// What a rate of their own makes of a range differs by less than a hundredth.
func TestEveryKindInEveryBackend(t *testing.T) {
	services := []truth.Service{truth.Scenarios()["hourly restarts"], truth.Scenarios()["steady"]}
	worlds := lastDays(services)
	restarts, steady := services[0].Job, services[1].Job
	kinds := []string{
		`{name: probe, sli: {probe: {metric: up}}}`,
		`{name: threshold, sli: {threshold: {query: 'time() - process_start_time_seconds{job="` + restarts + `"}', op: ">", value: 600}}}`,
		`{name: freshness, sli: {freshness: {timestamp: 'process_start_time_seconds', max_age: 30m}}}`,
		`{name: runs, group_by: [job2], sli: {runs: {last_success: 'label_replace(process_start_time_seconds, "job2", "$1", "job", "(.*)")', every: 1h, grace: 5m}}}`,
		`{name: linear, sli: {events: {good: 'sum(rate(requests_total{code="200"}[$window]))', total: 'sum(increase(requests_total[$window]))'}}}`,
		`{name: slices, budgeting: timeslices, slice: {length: 15m, target: 99.9}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: journey, worst_of: [shop/threshold, shop/slices]}`,
	}
	for i := range kinds {
		kinds[i] = strings.Replace(kinds[i], "{name", "{window: 3d, name", 1)
	}
	in := func(t *testing.T, url string, kinds ...string) *evaluator.Report {
		o := options(url, func() time.Time { return dataEnd.Add(time.Hour) })
		o.Windows = truthWindows
		r, err := loop.New(o).EvaluateAt(t.Context(), slosOf(t, kinds...), dataEnd)
		require.NoError(t, err)
		return r
	}
	rates := `{name: rates, window: 3d, sli: {events: {bad: 'sum(rate(requests_total{job="` + steady + `",code="500"}[$window])) > 0', total: 'sum(rate(requests_total{job="` + steady + `"}[$window]))'}}}`
	metricsQL := strings.Replace(strings.ReplaceAll(rates, "rate(", "increase_pure("), "name: rates", "name: metricsql", 1)
	want := in(t, embeddedWith(t, worlds), kinds...)
	require.Len(t, want.SLOs, len(kinds)+2)
	for _, s := range want.SLOs {
		require.Equal(t, evaluator.StateOK, s.State, s.ID)
	}
	for name, start := range map[string]func(*testing.T) string{
		"the oldest Prometheus":      func(t *testing.T) string { return prometheusWith(t, "", worlds) },
		"the newest Prometheus":      func(t *testing.T) string { return prometheusWith(t, servers.Newest(t), worlds) },
		"the oldest VictoriaMetrics": func(t *testing.T) string { return victoriaMetricsWith(t, "", worlds) },
		"the newest VictoriaMetrics": func(t *testing.T) string { return victoriaMetricsWith(t, servers.NewestVictoriaMetrics(t), worlds) },
	} {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			requireSame(t, want, in(t, address, kinds...))
			evaluated := []string{rates}
			if kindOf(name) == "victoriametrics" {
				evaluated = append(evaluated, metricsQL)
			}
			for _, s := range in(t, address, evaluated...).SLOs {
				own := s.Windows[2]
				total, bad := worlds[steady].Events(own.Start, own.End)
				require.InEpsilon(t, total, own.Total, 0.01, s.ID)
				require.InEpsilon(t, bad, own.Bad, 0.03, s.ID)
			}
		})
	}
}

// TestNativeHistogramsInPrometheus holds native histograms in the newest
// Prometheus against the truth. The embedded one answers with the same JSON.
func TestNativeHistogramsInPrometheus(t *testing.T) {
	service := truth.Scenarios()["hourly restarts latency"]
	worlds := lastDays([]truth.Service{service})
	w := worlds[service.Job]
	address := prometheusOf(t, servers.Newest(t), func(begin func() storage.Appender) { storeNative(t, begin(), w, dataEnd) })
	r, _ := countIn(t, address, []truth.Service{service}, dataEnd)
	require.Equal(t, evaluator.StateOK, r.SLOs[0].State, r.SLOs[0].StateReason)
	require.True(t, r.SLOs[0].Exact)
	requireTrue(t, &r.SLOs[0], w, within)
}

// below serves a server below a path.
func below(t *testing.T, path, backend string) string {
	t.Helper()
	server := httptest.NewServer(http.StripPrefix(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := ask(r, backend)
		says(status, string(body))(w, r)
	})))
	t.Cleanup(server.Close)
	return server.URL + path
}

// nameOf is a scenario's name by its job.
func nameOf(job string) string { return strings.ReplaceAll(job, "-", " ") }

// kindOf is the kind of a backend that is called "the newest Prometheus".
func kindOf(name string) string { return strings.ToLower(name[strings.LastIndex(name, " ")+1:]) }

// TestTheLimitsOfRealServers are kept: what is refused is asked for in pieces,
// and the numbers are the same. For a query, not for a series, VictoriaMetrics
// counts whole blocks of up to 8192 samples.
func TestTheLimitsOfRealServers(t *testing.T) {
	always := func(v float64) func(truth.Time) float64 { return func(truth.Time) float64 { return v } }
	services := []truth.Service{{Job: "busy", Interval: 5, Instances: 1, Rate: always(8), Bad: always(0.01)}}
	worlds := lastDays(services)
	want, refused := countIn(t, embeddedWith(t, worlds), services, dataEnd)
	requireTrue(t, &want.SLOs[0], worlds["busy"], within)
	require.Zero(t, refused)
	const (
		samples   = "--query.max-samples=20000"
		perQuery  = "-search.maxSamplesPerQuery=40000"
		perSeries = "-search.maxSamplesPerSeries=10000"
	)
	for name, start := range map[string]func(*testing.T) string{
		"the oldest Prometheus":      func(t *testing.T) string { return prometheusWith(t, "", worlds, samples) },
		"the newest Prometheus":      func(t *testing.T) string { return prometheusWith(t, servers.Newest(t), worlds, samples) },
		"the oldest VictoriaMetrics": func(t *testing.T) string { return victoriaMetricsWith(t, "", worlds, perQuery) },
		"the newest VictoriaMetrics": func(t *testing.T) string {
			return victoriaMetricsWith(t, servers.NewestVictoriaMetrics(t), worlds, perQuery)
		},
		"the oldest VictoriaMetrics, per series": func(t *testing.T) string { return victoriaMetricsWith(t, "", worlds, perSeries) },
		"the newest VictoriaMetrics, per series": func(t *testing.T) string {
			return victoriaMetricsWith(t, servers.NewestVictoriaMetrics(t), worlds, perSeries)
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := start(t)
			got, refused := countBy(t, backend.MethodQuery, url, services, dataEnd)
			requireSame(t, want, got)
			require.Positive(t, refused)
			got, _ = countIn(t, url, services, dataEnd) // by remote read if there is one
			requireSame(t, want, got)
		})
	}
}
