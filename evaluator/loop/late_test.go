package loop_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
)

// lateSlots is a metric of an evaluator.
func lateSlots(t *testing.T, o loop.Options, when string) float64 {
	t.Helper()
	families, err := o.Registerer.(prometheus.Gatherer).Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "slowburn_slots_changed_late_total" && m.GetLabel()[0].GetValue() == when {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestDataThatComesHoursLate, out of order, is counted by whoever is told to read
// again, and by everybody a day later. A metric tells how many slots it changed.
func TestDataThatComesHoursLate(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	service := truth.Scenarios()["steady"]
	start := begin.Add(-32 * time.Hour)
	service.Late = func(now truth.Time) int64 { // the second hour comes at the end of the fourth
		at := now.Now - 32*3600
		if at > 3600 && at <= 2*3600 {
			return 4*3600 - at
		}
		return 0
	}
	w := truth.Simulate(service, start, begin.Add(40*time.Hour))
	db := servers.Embedded(t)
	synctest.Test(t, func(t *testing.T) {
		samples := newArrivals(db, map[string]*truth.World{"": w}, start)
		samples.until(t, begin)
		fresh := func() loop.Options {
			o := live(slog.New(slog.DiscardHandler), db.Handler())
			o.Windows, o.NewJudge = truthWindows, nil
			return o
		}
		slos := []*slo.SLO{specOf(t, service, "2d")}
		asked, waiting := fresh(), fresh()
		one, two := loop.New(asked), loop.New(waiting)
		for _, e := range []*loop.Loop{one, two} {
			e.SetSLOs(slos, nil)
			defer run(t, e)()
		}
		coverage := func(e *loop.Loop) float64 {
			return e.Report().SLOs[0].Windows[1].Coverage // of the last 6 h
		}
		for m := 1; m <= 36*60; m++ {
			now := begin.Add(time.Duration(m)*time.Minute + 29*time.Second)
			until(now)
			samples.until(t, now)
			until(now.Add(2 * time.Second))
			switch m {
			case 5 * 60:
				require.InDelta(t, 5.0/6, coverage(one), 0.01, "an hour is missing")
				require.Equal(t, one.Report(), two.Report())
				one.Reread()
				until(now.Add(10 * time.Second))
				require.Equal(t, 1.0, coverage(one))
				require.InDelta(t, 5.0/6, coverage(two), 0.01)
				require.InDelta(t, 60, lateSlots(t, asked, "reread"), 2)
				require.Zero(t, lateSlots(t, waiting, "reread"))
				requireTrue(t, &one.Report().SLOs[0], w, within)
			case 36 * 60: // within a day and 6 hours of the start
				require.InDelta(t, 60, lateSlots(t, waiting, "reread"), 2)
				require.Equal(t, 1.0, two.Report().SLOs[0].Windows[2].Coverage)
			}
		}
		text := func(r *evaluator.Report) string {
			out, err := json.Marshal(r)
			require.NoError(t, err)
			return string(out)
		}
		r, err := loop.New(fresh()).EvaluateAt(t.Context(), slos, one.Report().EvaluatedAt)
		require.NoError(t, err)
		require.Equal(t, text(r), text(one.Report()))
		require.Equal(t, text(r), text(two.Report()))
	})
}

// TestDataThatComesWithinTheTimeOfSettling changes slots that were evaluated, and
// a metric tells how many.
func TestDataThatComesWithinTheTimeOfSettling(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	service := truth.Scenarios()["late 1 min"]
	w := truth.Simulate(service, begin.Add(-32*time.Hour), begin.Add(time.Hour))
	db := servers.Embedded(t)
	synctest.Test(t, func(t *testing.T) {
		samples := newArrivals(db, map[string]*truth.World{"": w}, begin.Add(-32*time.Hour))
		o := live(slog.New(slog.DiscardHandler), db.Handler())
		o.Windows, o.NewJudge = truthWindows, nil
		e := loop.New(o)
		e.SetSLOs([]*slo.SLO{specOf(t, service, "6h")}, nil)
		samples.until(t, begin)
		defer run(t, e)()
		for m := 1; m <= 30; m++ {
			now := begin.Add(time.Duration(m)*time.Minute + 29*time.Second)
			until(now)
			samples.until(t, now)
		}
		until(begin.Add(30*time.Minute + 40*time.Second))
		require.Positive(t, lateSlots(t, o, "settling"))
		require.Zero(t, lateSlots(t, o, "reread"))
	})
}

// TestTheNewestHistoryComesFirst: burn rates are right while the budget is still
// unknown, the state says how much is read, and no number is shown for what is
// not.
func TestTheNewestHistoryComesFirst(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := hundred(t, begin.Add(-31*24*time.Hour), begin.Add(time.Hour))
	synctest.Test(t, func(t *testing.T) {
		var queries atomic.Int32
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.FormValue("query"), "[") {
				if strings.HasPrefix(r.FormValue("query"), "requests_total") { // not of start times
					queries.Add(1)
				}
				time.Sleep(10 * time.Second)
			}
			db.Handler().ServeHTTP(w, r)
		})
		o := live(slog.New(slog.DiscardHandler), slow)
		o.Backends[0].Timeout = time.Minute
		e := loop.New(o)
		slos := load(t, "30d", events)
		slos[0].Alerting.Policy = "classic" // whose second window is 30m
		e.SetSLOs(slos, nil)
		defer run(t, e)()
		warming := 0
		for at := time.Second; e.Report().EvaluatedAt.IsZero() || e.Report().SLOs[0].State != evaluator.StateOK; at += time.Second {
			until(begin.Add(at))
			require.Less(t, at, time.Hour)
			s := e.Report().SLOs[0]
			if s.State != evaluator.StateWarming {
				continue
			}
			require.Nil(t, s.Budget.Remaining)
			hour, own := s.Windows[1], s.Windows[len(s.Windows)-1]
			require.Equal(t, "30m", hour.Name)
			if hour.BurnRate == nil {
				require.LessOrEqual(t, at, 40*time.Second, "the newest part comes within seconds")
				continue
			}
			warming++
			require.InDelta(t, 100.0/31, *hour.BurnRate, 1e-9, "one of 31 is bad, and one of 100 may be")
			require.Nil(t, own.BurnRate)
			require.Nil(t, own.SLI)
			require.Less(t, own.Coverage, 0.1)
			require.Regexp(t, `^reading history, \d+ %$`, s.StateReason)
		}
		require.Greater(t, warming, 100, "the whole takes a while")
		s := e.Report().SLOs[0]
		require.InDelta(t, 1-100.0/31, *s.Budget.Remaining, 1e-9)
		require.Equal(t, 1.0, e.Progress())
		read := queries.Load()
		until(begin.Add(50 * time.Minute))
		require.LessOrEqual(t, queries.Load()-read, int32(50), "a query a minute: history is not read again")
	})
}
