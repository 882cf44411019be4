package loop_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

// TestSeriesWithoutSamplesAreAContradiction: a backend counts series that it answers
// no samples of. Where it counts none, they don't exist.
func TestSeriesWithoutSamplesAreAContradiction(t *testing.T) {
	for count, want := range map[string]string{
		"16": "the backend counts 16 series of requests_total, but answers no samples of them",
		"0":  "no series match requests_total",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := empty
			if strings.HasPrefix(r.FormValue("query"), "count(requests_total)") {
				body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1763600400,"` + count + `"]}]}}`
			}
			says(200, body)(w, r)
		}))
		o := options(server.URL, func() time.Time { return at(120) })
		o.Backends[0].MaxSeries = 1000
		r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), at(60))
		require.NoError(t, err)
		require.Equal(t, want, r.SLOs[0].StateReason)
		require.Equal(t, count == "0", r.SLOs[0].State == evaluator.StateNoData)
		server.Close()
	}
}

// TestARangeOfValuesIsAMatrix: an empty vector does not say that there are no values.
func TestARangeOfValuesIsAMatrix(t *testing.T) {
	server := httptest.NewServer(says(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`))
	defer server.Close()
	r := evaluate(t, server.URL, load(t, "1d", `{threshold: {query: queue_depth, op: "<", value: 10}}`), at(60))
	require.Equal(t, evaluator.StateQueryFailed, r.SLOs[0].State)
	require.Contains(t, r.SLOs[0].StateReason, "queue_depth")
	require.Contains(t, r.SLOs[0].StateReason, "a part of the backend, such as a Thanos in distributed mode, answers no ranges")
}

// frontend caches answers to query_range as query-frontends do: until somebody asks
// for no store.
type frontend struct {
	http.Handler
	mu     sync.Mutex
	stored map[string]*httptest.ResponseRecorder
}

func (f *frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.URL.Path + fmt.Sprint(r.FormValue("query"), r.FormValue("start"), r.FormValue("end"))
	f.mu.Lock()
	defer f.mu.Unlock()
	rec := f.stored[key]
	if rec == nil || r.Header.Get("Cache-Control") == "no-store" {
		rec = httptest.NewRecorder()
		f.Handler.ServeHTTP(rec, r)
		if strings.HasSuffix(r.URL.Path, "_range") {
			f.stored[key] = rec
		}
	}
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// TestCachesOfResultsHideNothing: three bad samples of a gauge come late, after
// somebody asked. The second who asks sees them.
func TestCachesOfResultsHideNothing(t *testing.T) {
	db := embedded(t, time.Minute, `queue_depth{job="shop"} 1x300`)
	server := httptest.NewServer(&frontend{Handler: db.Handler(), stored: map[string]*httptest.ResponseRecorder{}})
	defer server.Close()
	slos := load(t, "4h", `{threshold: {query: queue_depth, op: "<", value: 10}}`)
	bad := func() float64 { return evaluate(t, server.URL, slos, at(300)).SLOs[0].Windows[1].Bad }
	require.Equal(t, 0.0, bad())
	late := labels.FromStrings("__name__", "queue_depth", "job", "shop", "late", "yes")
	require.NoError(t, db.Add(t.Context(), late, memprom.Sample{Time: at(120).Add(-time.Second), Value: 99}, memprom.Sample{Time: at(122).Add(time.Second), Value: 1}))
	require.Equal(t, 3.0, bad())
}

// outages are how backends of many parts say with 422 that a part can't be reached.
var outages = map[string]string{
	"a store":  `expanding series: proxy Series(): fetch series for {cluster=\"test\", replica=\"a\"} Addr: 127.0.0.1:10901 rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:10901: connect: connection refused\"`,
	"all":      `expanding series: proxy Series(): No StoreAPIs available`,
	"aborted":  `expanding series: proxy Series(): rpc error: code = Aborted desc = receive series from Addr: 127.0.0.1:10901: transport is closing`,
	"reading":  `expanding series: proxy Series(): rpc error: code = Unavailable desc = error reading from server: EOF`,
	"reset":    `cannot fetch query results from vmstorage nodes: read tcp4 127.0.0.1:50000->127.0.0.1:8401: connection reset by peer`,
	"name":     `cannot fetch query results from vmstorage nodes: cannot connect to vmstorage: dial tcp4: lookup vmstorage-1: no such host`,
	"route":    `cannot fetch query results from vmstorage nodes: cannot connect to vmstorage: dial tcp4 127.0.0.1:8401: connect: no route to host`,
	"vmselect": `cannot fetch query results from vmstorage nodes: cannot connect to vmstorage: dial tcp4 127.0.0.1:8401: connect: connection refused`,
}

// TestOutagesThatComeAs422 are of the backend: one line of the log when it begins and
// one when it ends, a metric, and evaluation within a minute of the end.
func TestOutagesThatComeAs422(t *testing.T) {
	for name, text := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var down atomic.Bool
				var log bytes.Buffer
				o := live(slog.New(slog.NewTextHandler(&log, nil)), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if down.Load() {
						says(422, `{"status":"error","errorType":"execution","error":"`+text+`"}`)(w, r)
						return
					}
					answer(w, r)
				}))
				e := loop.New(o)
				e.SetSLOs(load(t, "1h", many(20)...), nil)
				defer run(t, e)()
				begin := time.Now()
				until(begin.Add(5*time.Minute + 31*time.Second))
				require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 20}, states(e.Report()))
				down.Store(true)
				until(begin.Add(30*time.Minute + 31*time.Second))
				require.Equal(t, map[evaluator.State]int{evaluator.StateQueryFailed: 20}, states(e.Report()))
				require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
				require.Equal(t, 0.0, backendUp(t, o))
				down.Store(false)
				until(begin.Add(31*time.Minute + 31*time.Second))
				require.Equal(t, map[evaluator.State]int{evaluator.StateOK: 20}, states(e.Report()))
				require.Equal(t, 1.0, backendUp(t, o))
				require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
			})
		})
	}
}

// backendUp is the metric of an evaluator with one backend.
func backendUp(t *testing.T, o loop.Options) float64 {
	t.Helper()
	families, err := o.Registerer.(prometheus.Gatherer).Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "slowburn_backend_up" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}
