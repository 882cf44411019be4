package memprom_test

import (
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/memprom"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *memprom.DB {
	t.Helper()
	db, err := memprom.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func load(t *testing.T, db *memprom.DB, text string) {
	t.Helper()
	require.NoError(t, db.Load(t.Context(), start, 30*time.Second, text))
}

func serve(t *testing.T, db *memprom.DB) (v1.API, string) {
	t.Helper()
	server := httptest.NewServer(db.Handler())
	t.Cleanup(server.Close)
	client, err := api.NewClient(api.Config{Address: server.URL})
	require.NoError(t, err)
	return v1.NewAPI(client), server.URL
}

func TestInstantQueries(t *testing.T) {
	db := open(t)
	load(t, db, `
		# a counter that ends, with a gap before
		requests_total{job="a",path="/\"x"} 0+10x3 _ 50 stale
		requests_total{job="b"} 0.5+0x5 +Inf
	`)
	prom, _ := serve(t, db)
	for query, want := range map[string]string{
		`requests_total{job="b"}`:             `requests_total{job="b"} => +Inf @[1772366580]`,
		`sum(increase(requests_total[150s]))`: `{} => +Inf @[1772366580]`,
		`requests_total{job="a"}[65s] @ 1772366520`: `requests_total{job="a", path="/\"x"} =>
20 @[1772366460]
30 @[1772366490]`,
		// Without a step a subquery has one of a minute.
		`count_over_time(vector(1)[3m:])`: `{} => 3 @[1772366580]`,
		`scalar(vector(1.25))`:            `scalar: 1.25 @[1772366580]`,
		`nothing`:                         ``,
	} {
		got, _, _, err := prom.Query(t.Context(), query, start.Add(3*time.Minute))
		require.NoError(t, err, query)
		require.Equal(t, want, got.String(), query)
	}
}

func TestRangeQueryOfCountersAndHistograms(t *testing.T) {
	db := open(t)
	load(t, db, `
		requests_total 0+10x3 stale
		latency {{schema:0 count:3 sum:5 buckets:[1 2]}}x1
	`)
	prom, _ := serve(t, db)
	r := v1.Range{Start: start, End: start.Add(2 * time.Minute), Step: 45500 * time.Millisecond}
	got, _, _, err := prom.QueryRange(t.Context(), `requests_total`, r)
	require.NoError(t, err)
	require.Equal(t, "requests_total =>\n0 @[1772366400]\n10 @[1772366445.5]\n30 @[1772366491]", got.String())

	got, _, _, err = prom.QueryRange(t.Context(), `latency`, v1.Range{Start: start, End: start, Step: time.Minute})
	require.NoError(t, err)
	want := model.Matrix{{
		Metric: model.Metric{"__name__": "latency"},
		Histograms: []model.SampleHistogramPair{{
			Timestamp: model.TimeFromUnix(start.Unix()),
			Histogram: &model.SampleHistogram{Count: 3, Sum: 5, Buckets: model.HistogramBuckets{
				{Boundaries: 0, Lower: 0.5, Upper: 1, Count: 1},
				{Boundaries: 0, Lower: 1, Upper: 2, Count: 2},
			}},
		}},
	}}
	require.Equal(t, want, got)
}

func TestBuildInformationAndMetadata(t *testing.T) {
	prom, _ := serve(t, open(t))
	info, err := prom.Buildinfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, "3.15.0", info.Version)
	metadata, err := prom.Metadata(t.Context(), "", "")
	require.NoError(t, err)
	require.Empty(t, metadata)
}

func TestErrorsAreNamedAsPrometheusNamesThem(t *testing.T) {
	db := open(t)
	load(t, db, "a{x=\"1\"} 1\na{x=\"2\"} 1")
	_, address := serve(t, db)
	for _, c := range []struct {
		request string
		status  int
		kind    string
	}{
		{"query?query=a(", http.StatusBadRequest, "bad_data"},
		{"query?query=a&time=yesterday", http.StatusBadRequest, "bad_data"},
		{"query_range?query=a&start=0&end=1000&step=0", http.StatusBadRequest, "bad_data"},
		{"query_range?query=a&start=0&end=11001&step=1", http.StatusBadRequest, "bad_data"},
		{"query_range?query=a&start=10&end=1&step=1", http.StatusBadRequest, "bad_data"},
		{"query?time=1772366400&query=" + url.QueryEscape(`a * on() group_left a`), http.StatusUnprocessableEntity, "execution"},
		{"query?query=a&timeout=0.000000001", http.StatusServiceUnavailable, "timeout"},
	} {
		status, body := fetch(t, address+"/api/v1/"+c.request)
		require.Equal(t, c.status, status, "%s: %s", c.request, body)
		require.Contains(t, body, `"errorType":"`+c.kind+`"`)
		require.Contains(t, body, `"status":"error"`)
	}
}

func TestFormsTimesAndStats(t *testing.T) {
	db := open(t)
	load(t, db, "a 1 2 3")
	_, address := serve(t, db)
	want := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"a"},"value":[1772366430.5,"2"]}]}}`

	_, body := fetch(t, address+"/api/v1/query?query=a&time=2026-03-01T12:00:30.5Z")
	require.Equal(t, want, body)
	resp, err := http.PostForm(address+"/api/v1/query", url.Values{"query": {"a"}, "time": {"1772366430.5"}})
	require.NoError(t, err)
	defer resp.Body.Close()
	require.True(t, resp.Uncompressed, "the client asked for gzip")
	posted, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, want, string(posted))

	_, body = fetch(t, address+"/api/v1/query?query=count_over_time(a[1m])&stats=true&time=1772366430")
	require.Contains(t, body, `"totalQueryableSamples":2`)

	_, body = fetch(t, address+"/api/v1/query?query=%22%C3%BC%22&time=0")
	require.JSONEq(t, `{"status":"success","data":{"resultType":"string","result":[0,"ü"]}}`, body)

	status, _ := fetch(t, address+"/-/ready")
	require.Equal(t, http.StatusOK, status)
}

func fetch(t *testing.T, address string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(address)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestAddWritesHistoryBehindOtherSeries(t *testing.T) {
	db := open(t)
	a, b := labels.FromStrings("__name__", "a"), labels.FromStrings("__name__", "b")
	require.NoError(t, db.Add(t.Context(), a, memprom.Sample{Time: start, Value: 1}))
	year := 365 * 24 * time.Hour
	require.NoError(t, db.Add(t.Context(), b,
		memprom.Sample{Time: start.Add(-year), Value: 1},
		memprom.Sample{Time: start.Add(-year + time.Minute), Value: memprom.Stale()}))
	require.Error(t, db.Add(t.Context(), a,
		memprom.Sample{Time: start.Add(time.Minute), Value: 2},
		memprom.Sample{Time: start, Value: 2}), "not in order of time")

	prom, _ := serve(t, db)
	got, _, _, err := prom.Query(t.Context(), `{__name__=~"a|b"}[2y]`, start.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, "a =>\n1 @[1772366400]\nb =>\n1 @[1740830400]", got.String())
}

// BenchmarkRawSamples fetches a million raw samples over HTTP.
func BenchmarkRawSamples(b *testing.B) {
	db, err := memprom.Open(b.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	defer db.Close()
	for _, x := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
		samples := make([]memprom.Sample, 100_000)
		for i := range samples {
			samples[i] = memprom.Sample{Time: start.Add(time.Duration(i) * 30 * time.Second), Value: math.Floor(float64(i) * 12.3)}
		}
		require.NoError(b, db.Add(b.Context(), labels.FromStrings("__name__", "a", "x", x), samples...))
	}
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	address := server.URL + "/api/v1/query?query=a[60d]&time=" + url.QueryEscape(start.Add(40*24*time.Hour).Format(time.RFC3339))
	for b.Loop() {
		resp, err := http.Get(address)
		require.NoError(b, err)
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(b, err)
		require.Greater(b, n, int64(20_000_000))
		_ = resp.Body.Close()
	}
}
