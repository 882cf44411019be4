package evaluator_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
)

// dataEnd is the end of the data in real servers, of which VictoriaMetrics
// takes none from the future.
var dataEnd = time.Date(2025, 6, 20, 12, 0, 0, 0, time.UTC)

// history is all that an SLO over 3 days reads, and an hour.
const history = (3*24 + 24 + 1) * time.Hour

// lastDays are all scenarios in one world each, by job, with the samples of a
// time before the end.
func lastDays(length time.Duration) map[string]*truth.World {
	var mu sync.Mutex
	var wg sync.WaitGroup
	worlds := map[string]*truth.World{}
	places := make(chan struct{}, 2)
	for _, s := range truth.Scenarios() {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			w := truth.Simulate(s, dataEnd.Add(-truth.Days*24*time.Hour), dataEnd)
			var kept []*truth.Series
			for _, series := range w.Series {
				series.Samples = slices.DeleteFunc(series.Samples, func(x truth.Sample) bool { return x.T <= dataEnd.Add(-length).UnixMilli() })
				if len(series.Samples) > 0 {
					series.Samples = slices.Clone(series.Samples)
					kept = append(kept, series)
				}
			}
			w.Series = kept
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
	dir := filepath.Join(t.TempDir(), "data")
	block, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 4*history.Milliseconds())
	require.NoError(t, err)
	for _, w := range worlds {
		app := block.Appender(t.Context())
		for _, s := range w.Series {
			for _, x := range s.Samples {
				_, err := app.Append(0, s.Labels, x.T, x.V)
				require.NoError(t, err)
			}
		}
		require.NoError(t, app.Commit())
	}
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
	db, err := memprom.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	for _, w := range worlds {
		store(t, db, w)
	}
	server := httptest.NewServer(db.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// countIn counts the worlds' SLOs over 3 days in a server.
func countIn(t *testing.T, url string, worlds map[string]*truth.World) *evaluator.Report {
	t.Helper()
	scenarios := truth.Scenarios()
	var slos []*slo.SLO
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		if s := scenarios[name]; worlds[s.Job] != nil {
			slos = append(slos, specOf(t, s, "3d"))
		}
	}
	o := options(url, func() time.Time { return dataEnd.Add(time.Hour) })
	o.Windows = truthWindows
	o.Backends[0].ReplicaLabels, o.Backends[0].Timeout = []string{"prometheus_replica"}, time.Minute
	r, err := evaluator.New(o).EvaluateAt(t.Context(), slos, dataEnd)
	require.NoError(t, err)
	return r
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
// truth.
func TestTheSameNumbersInEveryBackend(t *testing.T) {
	worlds := lastDays(history)
	want := countIn(t, embeddedWith(t, worlds), worlds)
	for i := range want.SLOs {
		requireTrue(t, &want.SLOs[i], worlds[want.SLOs[i].Service], within)
	}
	for name, url := range map[string]func(t *testing.T) string{
		"the oldest Prometheus":      func(t *testing.T) string { return prometheusWith(t, "", worlds) },
		"the newest Prometheus":      func(t *testing.T) string { return prometheusWith(t, servers.Newest(t), worlds) },
		"the oldest VictoriaMetrics": func(t *testing.T) string { return victoriaMetricsWith(t, "", worlds) },
		"the newest VictoriaMetrics": func(t *testing.T) string { return victoriaMetricsWith(t, servers.NewestVictoriaMetrics(t), worlds) },
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			u := url(t)
			t.Log("loaded", time.Since(begin))
			got := countIn(t, u, worlds)
			t.Log(time.Since(begin), got.Backends)
			requireSame(t, want, got)
		})
	}
}
