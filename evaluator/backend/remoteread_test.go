package backend_test

import (
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

var readStart = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// writeBlocks fills the directory of a Prometheus with a day of samples each 30 s of
// each of some counters, with what a selector meets: an end that has a stale marker, a
// gap, a NaN of the service's own, a restart.
func writeBlocks(t testing.TB, dir string, native bool) {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, opts, nil)
	require.NoError(t, err)
	app := db.Appender(t.Context())
	add := func(at time.Duration, v float64, name ...string) {
		_, err := app.Append(0, labels.FromStrings(name...), readStart.Add(at).UnixMilli()+7, v)
		require.NoError(t, err)
	}
	for i := range 2880 {
		at := time.Duration(i) * 30 * time.Second
		add(at, float64(i)*1.5, "__name__", "requests_total", "job", "shop", "code", "200")
		if i > 700 && i < 720 {
			continue
		}
		v := float64(i % 1000)
		switch {
		case i == 1500:
			v = math.Float64frombits(value.StaleNaN)
		case i > 1500:
			continue
		case i == 30:
			v = math.NaN()
		}
		add(at, v, "__name__", "requests_total", "job", "shop", "code", "500")
		if native {
			appendHistogram(t, app, at, i)
		}
		if i%500 == 0 {
			require.NoError(t, app.Commit())
			app = db.Appender(t.Context())
		}
	}
	require.NoError(t, app.Commit())
	require.NoError(t, db.Close())
}

func appendHistogram(t testing.TB, app storage.Appender, at time.Duration, i int) {
	t.Helper()
	for name, h := range map[string]*histogram.Histogram{"seconds": tsdbutil.GenerateTestHistogram(int64(i)), "custom_seconds": tsdbutil.GenerateTestCustomBucketsHistogram(int64(i))} {
		_, err := app.AppendHistogram(0, labels.FromStrings("__name__", name, "job", "shop"), readStart.Add(at).UnixMilli(), h, nil)
		require.NoError(t, err)
	}
}

// proxy stands before a server, and counts requests by their path. What handle answers is
// not passed on.
type proxy struct {
	reads, queries, examined atomic.Int64
	handle                   func(w http.ResponseWriter, r *http.Request) (done bool)
}

func (p *proxy) serve(t testing.TB, server string) string {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/read":
			p.reads.Add(1)
		case "/api/v1/query":
			p.queries.Add(1)
		case "/api/v1/status/config":
			p.examined.Add(1)
		}
		if p.handle == nil || !p.handle(w, r) {
			kind, body, err := forward(server, r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(body)
		}
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// forward sends a request to a server, and returns the answer.
func forward(server string, r *http.Request) (kind string, body []byte, err error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, server+r.URL.RequestURI(), r.Body)
	if err != nil {
		return "", nil, err
	}
	req.Header = r.Header.Clone()
	req.Header.Del("Accept-Encoding")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.Header.Get("Content-Type"), body, err
}

func newClient(t testing.TB, server string, now func() time.Time) *backend.Client {
	t.Helper()
	return backend.New(backend.Config{Name: "default", URL: server, HTTP: http.DefaultClient, Timeout: 20 * time.Second, MaxConcurrency: 2},
		backend.NewShared(0, 0, slog.New(slog.DiscardHandler), now, prometheus.NewRegistry()))
}

func selectorOf(text string, matchers ...*labels.Matcher) slo.Selector {
	return slo.NewSelector(append([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, text)}, matchers...)...)
}

// bothWays returns the samples of a selector by Samples and by a query.
func bothWays(t testing.TB, c *backend.Client, s slo.Selector, from, to time.Duration) (samples, query []backend.Series) {
	t.Helper()
	first, last := timeline.SlotEnd(readStart.Add(from).UnixMilli()), timeline.SlotEnd(readStart.Add(to).UnixMilli())
	samples, err := c.Samples(t.Context(), s, first, last)
	require.NoError(t, err)
	query, err = c.Query(t.Context(), s.Range(time.Duration(last-first)*time.Minute), last.Time())
	require.NoError(t, err)
	return samples, query
}

// Remote read gives what a query gives: series, times and values, native histograms,
// without external labels and stale markers, from any moment to any other.
func TestRemoteReadGivesWhatAQueryGives(t *testing.T) {
	for name, bin := range map[string]string{"oldest": "", "newest": servers.Newest(t)} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			writeBlocks(t, data, bin != "")
			prom := servers.Prometheus(t, servers.PrometheusOptions{Bin: bin, DataDir: data, ConfigYAML: "global: {external_labels: {cluster: eu}}"})
			front := &proxy{}
			c := newClient(t, front.serve(t, prom.URL), time.Now)
			selectors := []slo.Selector{
				selectorOf("requests_total"), selectorOf("requests_total", labels.MustNewMatcher(labels.MatchRegexp, "code", "5..")),
				selectorOf("requests_total", labels.MustNewMatcher(labels.MatchNotEqual, "code", "500")), selectorOf("nothing_total"),
			}
			if bin != "" {
				selectors = append(selectors, selectorOf("seconds"), selectorOf("custom_seconds"))
			}
			for _, s := range selectors {
				for _, hours := range [][2]time.Duration{{0, 24 * time.Hour}, {-time.Hour, time.Hour}, {5*time.Hour + 50*time.Minute, 6 * time.Hour}, {12*time.Hour + 30*time.Minute, 13 * time.Hour}, {23 * time.Hour, 30 * time.Hour}} {
					samples, query := bothWays(t, c, s, hours[0], hours[1])
					require.Equal(t, query, samples, "%s from %s to %s", s, hours[0], hours[1])
				}
			}
			require.EqualValues(t, 5*len(selectors), front.reads.Load())
			require.EqualValues(t, 1, front.examined.Load())
			for _, kind := range []labels.MatchType{labels.MatchEqual, labels.MatchRegexp, labels.MatchNotEqual} {
				s := selectorOf("requests_total", labels.MustNewMatcher(kind, "cluster", "eu"))
				samples, query := bothWays(t, c, s, 0, 24*time.Hour)
				require.Equal(t, query, samples, s)
			}
			all, _ := bothWays(t, c, selectors[0], 0, 24*time.Hour)
			require.Len(t, all, 2)
			require.Equal(t, map[string]string{"__name__": "requests_total", "job": "shop", "code": "200"}, all[0].Labels)
			require.Len(t, all[0].Samples, 2880)
			require.Len(t, all[1].Samples, 1500-19-1, "without the gap, the NaN and what follows the stale marker")
		})
	}
}

// What remote read can't give right is read by queries: labels that are changed in an
// answer, servers that read from others, proxies that refuse it, damaged answers.
func TestRemoteReadFallsBackToQueries(t *testing.T) {
	data := t.TempDir()
	writeBlocks(t, data, false)
	prom := servers.Prometheus(t, servers.PrometheusOptions{Bin: servers.Newest(t), DataDir: data})
	refuse := func(path string, status int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				http.Error(w, "not here", status)
			}
			return r.URL.Path == path
		}
	}
	answer := func(path, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
			}
			return r.URL.Path == path
		}
	}
	config := func(yaml string) func(http.ResponseWriter, *http.Request) bool {
		return answer("/api/v1/status/config", `{"status":"success","data":{"yaml":"`+yaml+`"}}`)
	}
	for name, c := range map[string]struct {
		handle func(http.ResponseWriter, *http.Request) bool
		reads  int64 // in six calls
	}{
		"no remote read":                      {refuse("/api/v1/read", http.StatusNotFound), 1},
		"a proxy refuses it":                  {refuse("/api/v1/read", http.StatusForbidden), 1},
		"the gateway fails at it":             {refuse("/api/v1/read", http.StatusBadGateway), 1},
		"the configuration is not shown":      {refuse("/api/v1/status/config", http.StatusForbidden), 0},
		"the answer is JSON":                  {answer("/api/v1/read", "{}"), 1},
		"it reads from others":                {config(`remote_read: [{url: http://other}]`), 0},
		"an external label is one of series":  {config(`global: {external_labels: {code: x}}`), 0},
		"an external label is not added":      {config(`global: {external_labels: {cluster: x}}`), 4},
		"labels are added that nobody stores": {answer("/api/v1/labels", `{"status":"success","data":["__name__","job"]}`), 4},
	} {
		t.Run(name, func(t *testing.T) {
			front := &proxy{handle: c.handle}
			client := newClient(t, front.serve(t, prom.URL), time.Now)
			for range 6 {
				samples, query := bothWays(t, client, selectorOf("requests_total"), 0, 24*time.Hour)
				require.Equal(t, query, samples)
				require.Len(t, samples, 2)
			}
			require.Equal(t, c.reads, front.reads.Load())
		})
	}
}

// An answer of HTTP/1.0 ends where the connection does, whether or not it is whole.
func TestARemoteReadWithoutAnEndIsNoAnswer(t *testing.T) {
	data := t.TempDir()
	writeBlocks(t, data, false)
	prom := servers.Prometheus(t, servers.PrometheusOptions{Bin: servers.Newest(t), DataDir: data})
	front := &proxy{handle: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/read" {
			return false
		}
		kind, _, _ := forward(prom.URL, r)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\nContent-Type: "+kind+"\r\n\r\n")
			_ = conn.Close()
		}
		return true
	}}
	samples, query := bothWays(t, newClient(t, front.serve(t, prom.URL), time.Now), selectorOf("requests_total"), 0, 24*time.Hour)
	require.Equal(t, query, samples)
	require.Len(t, samples, 2)
}

// An answer that is cut off or damaged is never taken for a whole one, wherever that
// happens.
func TestADamagedRemoteReadIsNoAnswer(t *testing.T) {
	data := t.TempDir()
	writeBlocks(t, data, false)
	prom := servers.Prometheus(t, servers.PrometheusOptions{Bin: servers.Newest(t), DataDir: data, Flags: []string{"--storage.remote.read-max-bytes-in-frame=500"}})
	whole := &proxy{}
	var body []byte
	var kind string
	whole.handle = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/read" {
			return false
		}
		kind, body, _ = forward(prom.URL, r) // an empty body fails the test
		http.Error(w, "again", http.StatusNotFound)
		return true
	}
	_, query := bothWays(t, newClient(t, whole.serve(t, prom.URL), time.Now), selectorOf("requests_total"), 0, 24*time.Hour)
	require.Greater(t, len(body), 4000)
	damage := map[string][]byte{"an error in the middle": append(slices.Clip(body), "many-to-many matching"...)}
	for _, n := range []int{1, 5, 100, len(body) / 2, len(body) - 1} {
		flipped := append([]byte{}, body...)
		flipped[n] ^= 0x55
		damage["byte "+time.Duration(n).String()] = flipped
		damage["cut off after "+time.Duration(n).String()] = body[:n]
	}
	for name, bytes := range damage {
		t.Run(name, func(t *testing.T) {
			front := &proxy{handle: func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/api/v1/read" {
					return false
				}
				w.Header().Set("Content-Type", kind)
				_, _ = w.Write(bytes)
				return true
			}}
			samples, _ := bothWays(t, newClient(t, front.serve(t, prom.URL), time.Now), selectorOf("requests_total"), 0, 24*time.Hour)
			require.Equal(t, query, samples)
			require.EqualValues(t, 1, front.reads.Load())
			require.EqualValues(t, 2, front.queries.Load())
		})
	}
}

// An overloaded backend is not asked a second, dearer question.
func TestAnOverloadedBackendIsNotQueriedInstead(t *testing.T) {
	data := t.TempDir()
	writeBlocks(t, data, false)
	prom := servers.Prometheus(t, servers.PrometheusOptions{Bin: servers.Newest(t), DataDir: data})
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		front := &proxy{handle: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/api/v1/read" {
				http.Error(w, "later", status)
			}
			return r.URL.Path == "/api/v1/read"
		}}
		c := newClient(t, front.serve(t, prom.URL), time.Now)
		to := timeline.SlotEnd(readStart.Add(24 * time.Hour).UnixMilli())
		for range 2 {
			_, err := c.Samples(t.Context(), selectorOf("requests_total"), to-1440, to)
			require.ErrorContains(t, err, "later")
			require.Zero(t, front.queries.Load())
		}
		// Other queries may be answered while remote read alone is refused.
		for range 2 {
			samples, err := c.Samples(t.Context(), selectorOf("requests_total"), to-1440, to)
			require.NoError(t, err)
			require.Len(t, samples, 2)
		}
		require.EqualValues(t, 3, front.reads.Load())
	}
}

// A configuration that changes while history is read changes no labels: of an external
// label that comes, of one whose value changes, of one that goes.
func TestExternalLabelsThatChange(t *testing.T) {
	data := t.TempDir()
	writeBlocks(t, data, false)
	prom := servers.Prometheus(t, servers.PrometheusOptions{Bin: servers.Newest(t), DataDir: data, ConfigYAML: "global: {}"})
	front := &proxy{}
	c := newClient(t, front.serve(t, prom.URL), time.Now)
	for _, config := range []string{"global: {}", "global: {external_labels: {cluster: a}}", "global: {external_labels: {cluster: b}}", "global: {}"} {
		require.NoError(t, os.WriteFile(filepath.Join(prom.Dir, "prometheus.yml"), []byte(config), 0o600))
		prom.Reload()
		for range 2 {
			samples, query := bothWays(t, c, selectorOf("requests_total"), 0, 24*time.Hour)
			require.Equal(t, query, samples, config)
		}
	}
	require.EqualValues(t, 4, front.examined.Load(), "once for each configuration")
}
