package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
)

// TestServeRefusesToStart with what can't work, says why, and exits with the
// code that scripts know.
func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := t.TempDir()
	good := filepath.Dir(write(t, dir, "good/checkout.yaml", checkout("99.9")))
	bad := filepath.Dir(write(t, dir, "bad/a.yaml", checkout("100")))
	write(t, dir, "bad/b.yaml", strings.Replace(strings.Replace(checkout("99"), "availability", "latency", 1), "window: 1h", "windw: 1h", 1))
	write(t, dir, "bad/c.yaml", strings.Replace(checkout("99"), `{job="checkout"}`, `{job="checkout"`, 1))
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"findings", []string{"--specs", bad, "--backend", "http://127.0.0.1:1"}, 1,
			bad + "/a.yaml:5:16: objective 100 leaves no error budget\n"},
		{"findings in every file", []string{"--specs", bad, "--backend", "http://127.0.0.1:1"}, 1,
			bad + "/b.yaml:6:5: unknown key \"windw\""},
		{"findings in queries", []string{"--specs", bad, "--backend", "http://127.0.0.1:1"}, 1,
			bad + "/c.yaml:10:"},
		{"port", []string{"--specs", good, "--backend", "http://127.0.0.1:1", "--listen", taken.Addr().String()}, 3,
			"slowburn: listening on " + taken.Addr().String() + ": another program uses the port\n"},
		{"no directory", []string{"--specs", dir + "/none", "--backend", "http://127.0.0.1:1"}, 3,
			"slowburn: reading " + dir + "/none: no such file or directory\n"},
		{"no backend", []string{"--specs", good}, 2, "slowburn: no backend: give --backend URL or --config FILE\n"},
		{"backend", []string{"--specs", good, "--backend", "prometheus:9090"}, 2,
			"slowburn: --backend: the URL is not one such as http://prometheus:9090\n"},
		{"no configuration", []string{"--config", dir + "/none.yaml"}, 3,
			"slowburn: reading the configuration: open " + dir + "/none.yaml: no such file or directory\n"},
		{"configuration", []string{"--config", write(t, dir, "slowburn.yaml", "specs: [{directory: .}]\nbackend: []\n")}, 1,
			dir + "/slowburn.yaml:2:1: unknown key \"backend\""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"serve"}, tc.args...)...)
			require.Equal(t, tc.code, code, stderr)
			require.Contains(t, stderr, tc.want)
			require.Empty(t, stdout)
			require.NotContains(t, stderr, "level=", "nothing is logged before there is something to run")
			if tc.code == 3 {
				require.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)
			}
		})
	}
}

// TestServeStartsBeforeItsBackend says what it can't know, once, and knows it
// as soon as the backend is there.
func TestServeStartsBeforeItsBackend(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	dir := t.TempDir()
	write(t, dir, "a.yaml", checkout("99.9"))
	write(t, dir, "b.yaml", strings.Replace(checkout("99"), "availability", "other", 1))
	s := serving(t, "--specs", dir, "--backend", "http://"+address)
	const up = `slowburn_backend_up{backend="default"}`

	r := s.untilState(waitLimit, "checkout/availability", evaluator.StateQueryFailed)
	require.Contains(t, r.SLOs[0].StateReason, "connection refused")
	require.Nil(t, r.SLOs[0].Budget.Remaining)
	until(t, waitLimit, "four tries", func() bool {
		return s.metrics()[`slowburn_backend_requests_total{backend="default",outcome="error"}`] >= 4
	})
	require.Equal(t, 0.0, s.metrics()[up])
	require.Equal(t, 1, s.log.count("connection refused"), "one line, neither for each SLO nor for each try")

	l, err = net.Listen("tcp", address)
	require.NoError(t, err)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: checkoutDB(t).Handler(), ReadHeaderTimeout: time.Minute}}
	server.Start()
	defer server.Close()
	s.untilState(waitLimit, "checkout/availability", evaluator.StateOK)
	s.untilState(waitLimit, "checkout/other", evaluator.StateOK)
	require.Equal(t, 1.0, s.metrics()[up])
	require.Equal(t, 1, s.log.count("Backend can be read again"))
}

// TestServeOutlivesItsBackend keeps the last good numbers, says how old they
// are, and goes on when the backend is back.
func TestServeOutlivesItsBackend(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	var asked atomic.Int32
	inner := checkoutDB(t).Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			asked.Add(1)
			http.Error(w, "no upstream", http.StatusBadGateway)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	dir := t.TempDir()
	write(t, dir, "slos/a.yaml", checkout("99.9"))
	write(t, dir, "slos/b.yaml", strings.Replace(checkout("99"), "availability", "other", 1))
	s := serving(t, "--config", write(t, dir, "slowburn.yaml", "specs: [{directory: ./slos}]\nbackends: [{url: '"+server.URL+"', offset: 5s, settle: 1m}]\n"))
	good := s.untilState(waitLimit, "checkout/availability", evaluator.StateOK)
	const up = `slowburn_backend_up{backend="default"}`
	require.Equal(t, 1.0, s.metrics()[up])

	gone.Store(true)
	r := s.untilState(90*time.Second, "checkout/availability", evaluator.StateQueryFailed)
	first := r.EvaluatedAt
	until(t, waitLimit, "another cycle", func() bool {
		r = s.report()
		return r.EvaluatedAt.After(first)
	})
	st, was := r.slo("checkout/availability"), good.slo("checkout/availability")
	require.Contains(t, st.StateReason, "the backend answers 502")
	require.Equal(t, 60.0*60, st.Windows[len(st.Windows)-1].Total, "the last good numbers")
	require.WithinRange(t, *st.StateSince, was.Windows[0].End, first, "and of when they are")
	require.Equal(t, 0.0, s.metrics()[up])
	require.Equal(t, 1, s.log.count("answers 502"), "one line, neither for each SLO nor for each minute")
	require.LessOrEqual(t, asked.Load(), int32(8), "a backend that is down is left alone")
	_, page := s.get("/")
	require.Contains(t, page, "the backend answers 502")

	gone.Store(false)
	s.untilState(90*time.Second, "checkout/availability", evaluator.StateOK)
	s.untilState(waitLimit, "checkout/other", evaluator.StateOK)
	require.Equal(t, 1.0, s.metrics()[up])
	require.Equal(t, 1, s.log.count("Backend can be read again"))
}

// TestServeEndsInTime delivers the alerts that are queued before it ends, and
// waits for nobody who does not answer.
func TestServeEndsInTime(t *testing.T) {
	t.Parallel()
	minute := time.Now().Truncate(time.Minute)
	prom := incident(t, minute.Add(-20*time.Minute), minute.Add(time.Hour))
	for _, answers := range []bool{true, false} {
		t.Run(map[bool]string{true: "delivered", false: "in vain"}[answers], func(t *testing.T) {
			t.Parallel()
			asked, release := make(chan struct{}, 100), make(chan struct{})
			var taken atomic.Int32
			am := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // else nobody sees the client go
				asked <- struct{}{}
				select {
				case <-release:
					taken.Add(1)
				case <-r.Context().Done():
				}
			}))
			defer am.Close()
			dir := t.TempDir()
			write(t, dir, "slos/a.yaml", checkout("99"))
			s := serving(t, "--config", write(t, dir, "slowburn.yaml",
				"specs: [{directory: ./slos}]\nbackends: [{url: '"+prom.URL+"'}]\nalertmanagers: [{url: '"+am.URL+"'}]\n"))
			<-asked
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://")) // which says nothing
			require.NoError(t, err)
			defer conn.Close()
			begin := time.Now()
			s.stop()
			if answers {
				close(release)
			}
			<-s.ended
			require.Equal(t, 0, s.code)
			require.Less(t, time.Since(begin), 10*time.Second)
			require.Equal(t, answers, taken.Load() > 0)
		})
	}
}

// TestServeGoesOnBesideBrokenSLOs has more SLOs that can't be evaluated than
// there are queries at a time, from the start and since their histogram lost a
// bucket. The others don't notice.
func TestServeGoesOnBesideBrokenSLOs(t *testing.T) {
	t.Parallel()
	db := checkoutDB(t)
	start := time.Now().Add(-2 * time.Hour).Truncate(time.Minute)
	require.NoError(t, db.Load(t.Context(), start, time.Minute, `
latency_seconds_count{job="checkout",instance="a"} 0+60x180
latency_seconds_bucket{job="checkout",instance="a",le="+Inf"} 0+60x180
latency_seconds_bucket{job="checkout",instance="a",le="0.3"} 0+60x121`))
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	text := checkout("99.9")
	for i := range 10 {
		threshold := map[bool]string{true: "250ms", false: "300ms"}[i < 6]
		text += fmt.Sprintf("  - {name: a%d, objective: 99, window: 1h, sli: {latency: {histogram: latency_seconds, threshold: %s}}}\n", i, threshold)
	}
	dir := t.TempDir()
	write(t, dir, "slos/a.yaml", text)
	s := serving(t, "--config", write(t, dir, "slowburn.yaml",
		"specs: [{directory: ./slos}]\nbackends: [{url: '"+server.URL+"', offset: 5s, settle: 1m, max_concurrency: 2}]\n"))
	r := s.untilState(waitLimit, "checkout/availability", evaluator.StateOK)
	s.untilState(waitLimit, "checkout/a9", evaluator.StateOK)
	began := r.EvaluatedAt
	s.untilState(waitLimit, "checkout/a0", evaluator.StateQueryFailed)

	s.untilState(5*time.Minute, "checkout/a9", evaluator.StateQueryFailed)
	r = s.report()
	for _, st := range r.SLOs {
		require.Zero(t, s.log.count(`"Alert fires" slo_id=checkout/a6`), "a missing bucket pages nobody")
		if st.SLO == "availability" {
			require.Equal(t, evaluator.StateOK, st.State, st.StateReason)
			require.Equal(t, r.EvaluatedAt, st.Windows[0].End)
			require.Greater(t, r.EvaluatedAt, began)
			continue
		}
		require.Equal(t, evaluator.StateQueryFailed, st.State, st.ID)
		require.Regexp(t, `^threshold (250|300)ms is not a bucket boundary of latency_seconds`, st.StateReason)
		require.Equal(t, 1, s.log.count(`can't be evaluated" slo_id=`+st.ID+" "), "one line for each")
	}
	require.Equal(t, 1.0, s.metrics()[`slowburn_backend_up{backend="default"}`])
}
