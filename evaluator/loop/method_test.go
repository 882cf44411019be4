package loop_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
)

// TestTheMethodFollowsTheNumberOfSeries, unless the user names one.
func TestTheMethodFollowsTheNumberOfSeries(t *testing.T) {
	end := start.Add(2 * time.Hour)
	server := httptest.NewServer(hundred(t, start, end.Add(time.Second)).Handler())
	defer server.Close()
	for _, tt := range []struct {
		method string
		limit  int
		want   string
	}{
		{"auto", 100, evaluator.MethodRaw},
		{"auto", 99, evaluator.MethodAggregated},
		{"", 0, evaluator.MethodRaw},
		{"raw", 1, evaluator.MethodRaw},
		{"aggregated", 1000, evaluator.MethodAggregated},
	} {
		o := options(server.URL, func() time.Time { return end.Add(time.Minute) })
		o.Backends[0].Method, o.Backends[0].MaxSeries = tt.method, tt.limit
		r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), end)
		require.NoError(t, err)
		s := r.SLOs[0]
		require.Equal(t, tt.want, s.Method, "%+v", tt)
		require.Equal(t, tt.want == evaluator.MethodRaw, s.Exact)
		own := s.Windows[len(s.Windows)-1]
		require.Equal(t, [2]float64{50 * 31 * 120, 50 * 120}, [2]float64{own.Total, own.Bad})
	}
}

// TestAnSLOThatOutgrowsTheLimit is counted by raw samples until its history is reread
// in sums. No number is wrong meanwhile, and the log has one line about it.
func TestAnSLOThatOutgrowsTheLimit(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	scrape(t, db, 0, 20, begin.Add(-30*time.Hour), begin.Add(time.Hour))
	scrape(t, db, 20, 50, begin.Add(10*time.Minute), begin.Add(time.Hour))
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := live(slog.New(slog.NewTextHandler(&log, nil)), db.Handler())
		o.NewJudge = nil
		o.Backends[0].MaxSeries = 60
		e := loop.New(o)
		e.SetSLOs(load(t, "1h", events), nil)
		defer run(t, e)()
		for m := 1; m <= 30; m++ {
			until(begin.Add(time.Duration(m)*time.Minute + 35*time.Second))
			s := e.Report().SLOs[0]
			require.Equal(t, evaluator.StateOK, s.State)
			own := s.Windows[len(s.Windows)-1]
			// Each of the new ones has a sample of 0 in its first half minute. The
			// first of their sums is at a minute's end, and all before it unknown.
			want := 31 * float64(20*120+30*max(0, 2*(m-10)-1))
			require.LessOrEqual(t, own.Total, want, "at %s by %s", s.Windows[0].End, s.Method)
			require.GreaterOrEqual(t, own.Total, want-30*31, "at %s by %s", s.Windows[0].End, s.Method)
			if m <= 10 {
				require.Equal(t, evaluator.MethodRaw, s.Method)
			}
			if m >= 13 {
				require.Equal(t, evaluator.MethodAggregated, s.Method)
			}
		}
		require.Equal(t, 1, strings.Count(log.String(), "too many series"), log.String())
	})
}

// TestAnSLOOfVeryManySeries: 12,000 of them, with the limit that a configuration
// has by default, cost what a sum of each target does.
func TestAnSLOOfVeryManySeries(t *testing.T) {
	end := start.Add(time.Hour)
	db := servers.Embedded(t)
	app := db.Appender(t.Context())
	for i := range 12_000 {
		code := "200"
		if i%100 == 0 {
			code = "500"
		}
		l := labels.FromStrings(model.MetricNameLabel, "requests_total", "job", "shop", "instance", strconv.Itoa(i/200), "path", strconv.Itoa(i%200), "code", code)
		for m := -60; m <= 60; m++ {
			_, err := app.Append(0, l, start.Add(time.Duration(m)*time.Minute).UnixMilli(), float64(1000+m))
			require.NoError(t, err)
		}
	}
	require.NoError(t, app.Commit())
	m := &Input{Handler: db.Handler()}
	o := options("http://localhost", func() time.Time { return end.Add(time.Minute) })
	o.Backends[0].HTTP, o.Backends[0].MaxSeries, o.Backends[0].Timeout = &http.Client{Transport: transport{m}}, 10_000, time.Minute
	r, err := loop.New(o).EvaluateAt(t.Context(), load(t, "1h", events), end)
	require.NoError(t, err)
	s := r.SLOs[0]
	require.Equal(t, evaluator.MethodAggregated, s.Method)
	require.False(t, s.Exact)
	require.Equal(t, 1.0, s.Windows[1].Coverage)
	require.Equal(t, [2]float64{12_000 * 60, 120 * 60}, [2]float64{s.Windows[1].Total, s.Windows[1].Bad})
	samples, _ := m.taken()
	require.LessOrEqual(t, samples, 12_240*(2*60+10), "one of each series a minute, and to begin with")
}

// TestGroupsAreCountedRawAgain when their whole is, after it had too many series for a
// while.
func TestGroupsAreCountedRawAgain(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := servers.Embedded(t)
	scrape(t, db, 0, 20, begin.Add(-30*time.Hour), begin.Add(2*time.Hour))
	scrape(t, db, 20, 50, begin.Add(10*time.Minute), begin.Add(30*time.Minute))
	synctest.Test(t, func(t *testing.T) {
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		o.NewJudge = nil
		o.Backends[0].MaxSeries = 60
		e := loop.New(o)
		e.SetSLOs(slosOf(t, "{name: a, window: 1h, group_by: [code], sli: "+events+"}"), nil)
		defer run(t, e)()
		methods := func(minute int) (out []string) {
			until(begin.Add(time.Duration(minute)*time.Minute + 45*time.Second))
			for _, s := range e.Report().SLOs {
				require.Equal(t, evaluator.StateOK, s.State, s.ID)
				out = append(out, s.Method)
			}
			return out
		}
		raw, sums := slices.Repeat([]string{evaluator.MethodRaw}, 3), slices.Repeat([]string{evaluator.MethodAggregated}, 3)
		require.Equal(t, raw, methods(5))
		require.Equal(t, sums, methods(25))
		e.Reread() // 40 series are left
		require.Equal(t, sums, methods(28))
		until(begin.Add(50 * time.Minute))
		e.Reread()
		require.Equal(t, raw, methods(55))
	})
}
