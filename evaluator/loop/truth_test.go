package loop_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

// scenarios are the simulated services. With -short it returns a few that differ in how
// their counters begin, end, come late or come twice.
func scenarios() map[string]truth.Service {
	out := truth.Scenarios()
	if testing.Short() {
		few := []string{
			"steady latency", "quiet nights", "unknown starts", "errors reborn", "pods replaced", "every 5 min",
			"late 1 min", "replicas by label", "relabelled", "just begun to scrape",
		}
		maps.DeleteFunc(out, func(name string, _ truth.Service) bool { return !slices.Contains(few, name) })
	}
	return out
}

// specOf is the SLO of a simulated service.
func specOf(t *testing.T, s truth.Service, window string) *slo.SLO {
	t.Helper()
	sli := fmt.Sprintf(`events: {bad: 'requests_total{job="%s",code="500"}', total: 'requests_total{job="%[1]s"}'}`, s.Job)
	if s.Latency {
		sli = fmt.Sprintf(`latency: {histogram: 'latency_seconds{job="%s"}', threshold: 300ms}`, s.Job)
	}
	text := fmt.Sprintf("apiVersion: slowburn/v1\nservice: %s\nslos:\n  - {name: slo, objective: 99, window: %s, sli: {%s}}\n", s.Job, window, sli)
	set := spec.Load([]spec.File{{Name: s.Job + ".yaml", Text: []byte(text)}})
	require.Empty(t, set.Findings)
	return set.SLOs[0]
}

// store writes what arrived until an instant.
func store(t *testing.T, db *memprom.DB, w *truth.World) {
	t.Helper()
	for _, s := range w.Series {
		samples := make([]memprom.Sample, len(s.Samples))
		for i, x := range s.Samples {
			samples[i] = memprom.Sample{Time: time.UnixMilli(x.T), Value: x.V}
		}
		require.NoError(t, db.Add(t.Context(), s.Labels, samples...))
	}
}

// truthWindows are those that the counts are held in.
func truthWindows(s *slo.SLO) []slo.Window {
	var out []slo.Window
	for _, w := range []time.Duration{time.Hour, 6 * time.Hour, 72 * time.Hour} {
		if slo.Window(w) < s.Window.Length {
			out = append(out, slo.Window(w))
		}
	}
	return append(out, s.Window.Length)
}

// within is the largest relative error of a count by raw samples.
const within = 0.001

// requireTrue holds the counts of a status against the truth: less than it by at
// most a share, and more by at most what is within.
func requireTrue(t *testing.T, s *evaluator.Status, w *truth.World, less float64) {
	t.Helper()
	near := func(is, should float64) bool { return is <= should*(1+within) && is >= should*(1-less) }
	for _, win := range s.Windows {
		total, bad := w.Events(win.Start, win.End)
		t.Logf("%-4s bad %9.0f of %11.0f, truth %9.0f of %11.0f", win.Name, win.Bad, win.Total, bad, total)
		if !near(win.Total, total) || !near(win.Bad, bad) {
			t.Errorf("%s over %s: bad %v of %v, but in truth %v of %v", s.ID, win.Name, win.Bad, win.Total, bad, total)
		}
	}
}

// aggregatedLess are by how much less sums of targets may count, where they can't
// know more; docs/explanation/counting.md says why.
var aggregatedLess = map[string]float64{
	"hourly restarts":         0.005, // up to a minute before each crash
	"hourly restarts latency": 0.005,
	"unknown starts":          0.02, // and up to a minute after it
	"errors reborn":           0.002,
	"pods replaced":           0.003,
	"just begun to scrape":    0.03, // the first minute of 40
}

// TestCountsAgainstTheTruth simulates services whose counters are hard to read,
// and holds the counts of a process that starts at the end against what a
// perfect reader would have counted, for each method of counting.
func TestCountsAgainstTheTruth(t *testing.T) {
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	start := end.Add(-truth.Days * 24 * time.Hour)
	services := scenarios()
	for _, name := range slices.Sorted(maps.Keys(services)) {
		t.Run(name, func(t *testing.T) {
			service := services[name]
			db := servers.Embedded(t)
			w := truth.Simulate(service, start, end)
			store(t, db, w)
			server := httptest.NewServer(db.Handler())
			defer server.Close()
			for method, less := range map[string]float64{
				evaluator.MethodRaw: within, evaluator.MethodAggregated: max(within, aggregatedLess[name]),
			} {
				o := options(server.URL, func() time.Time { return end.Add(time.Hour) })
				o.Windows = truthWindows
				o.Backends[0].ReplicaLabels, o.Backends[0].Method = []string{"prometheus_replica"}, method
				r, err := loop.New(o).EvaluateAt(t.Context(), []*slo.SLO{specOf(t, service, "30d")}, end)
				require.NoError(t, err)
				require.Equal(t, method, r.SLOs[0].Method)
				require.Equal(t, method == evaluator.MethodRaw, r.SLOs[0].Exact)
				requireTrue(t, &r.SLOs[0], w, less)
			}
			total, bad := w.Events(start, end)
			require.Less(t, w.Lost, 0.01*total, "what crashes destroy")
			require.LessOrEqual(t, w.LostBad, 0.01*bad)
		})
	}
}

// arrivals are samples that a backend gets while time passes.
type arrivals struct {
	db     *memprom.DB
	series []*truth.Series // whose samples are in the order in which they arrive
}

// newArrivals are those of worlds from an instant on.
func newArrivals(db *memprom.DB, worlds map[string]*truth.World, from time.Time) *arrivals {
	a := &arrivals{db: db}
	for _, name := range slices.Sorted(maps.Keys(worlds)) {
		for _, s := range worlds[name].Series {
			first, _ := slices.BinarySearchFunc(s.Samples, from.UnixMilli(), func(x truth.Sample, t int64) int { return cmp.Compare(x.T, t) })
			samples := slices.Clone(s.Samples[first:])
			slices.SortStableFunc(samples, func(x, y truth.Sample) int { return cmp.Compare(x.Arrives, y.Arrives) })
			a.series = append(a.series, &truth.Series{Labels: s.Labels, Samples: samples})
		}
	}
	return a
}

// until lets come what arrives until an instant.
func (a *arrivals) until(t *testing.T, now time.Time) {
	t.Helper()
	for _, s := range a.series {
		var samples []memprom.Sample
		for ; len(s.Samples) > 0 && s.Samples[0].Arrives <= now.UnixMilli(); s.Samples = s.Samples[1:] {
			samples = append(samples, memprom.Sample{Time: time.UnixMilli(s.Samples[0].T), Value: s.Samples[0].V})
		}
		if len(samples) > 0 {
			require.NoError(t, a.db.Add(t.Context(), s.Labels, samples...))
		}
	}
}

// TestTheSameNumbersWhoeverCounts has processes that were up for different
// times say the same, to the byte: one all along, one that was down for an
// hour, one that began a minute later, and one that starts now. Their numbers
// are the truth.
func TestTheSameNumbersWhoeverCounts(t *testing.T) {
	for _, method := range []string{evaluator.MethodRaw, evaluator.MethodAggregated} {
		t.Run(method, func(t *testing.T) { sameNumbers(t, method) })
	}
}

func sameNumbers(t *testing.T, method string) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	const day = 24 * time.Hour
	start := begin.Add(2*time.Hour - 30*day) // what happens once happens in two hours
	first := begin.Add(-33 * time.Hour)      // nobody reads what was before
	worlds := map[string]*truth.World{}
	var slos []*slo.SLO
	for name, s := range scenarios() {
		if name == "backfill" || name == "late 3 min" && method == evaluator.MethodAggregated {
			continue // comes later than anything settles; single series are waited for, sums not
		}
		worlds[s.Job] = truth.SimulateFrom(s, start, first, start.Add(truth.Days*day))
		slos = append(slos, specOf(t, s, "6h"))
	}
	db := servers.Embedded(t)
	synctest.Test(t, func(t *testing.T) {
		samples := newArrivals(db, worlds, begin.Add(-32*time.Hour))
		samples.until(t, begin)
		fresh := func() *loop.Loop {
			o := live(slog.New(slog.DiscardHandler), db.Handler())
			o.Windows, o.NewJudge = truthWindows, nil
			o.Backends[0].ReplicaLabels, o.Backends[0].Method = []string{"prometheus_replica"}, method
			return loop.New(o)
		}
		started := func() (*loop.Loop, func()) {
			e := fresh()
			e.SetSLOs(slos, nil)
			return e, run(t, e)
		}
		text := func(r *evaluator.Report) string {
			out, err := json.Marshal(r)
			require.NoError(t, err)
			return string(out)
		}
		long, stopLong := started()
		defer stopLong()
		var later, down *loop.Loop
		_, stopDown := started()
		past := map[time.Time]string{}
		for m := 1; m <= 7*60; m++ {
			now := begin.Add(time.Duration(m)*time.Minute + 29*time.Second)
			until(now)
			samples.until(t, now)
			switch m {
			case 2:
				var stop func()
				later, stop = started()
				defer stop()
			case 120:
				stopDown()
			case 180:
				down, stopDown = started()
				defer func() { stopDown() }()
			}
			until(now.Add(2 * time.Second))
			if m%67 != 0 && m != 7*60 {
				continue
			}
			at := begin.Add(time.Duration(m) * time.Minute)
			want := text(long.Report())
			r, err := fresh().EvaluateAt(t.Context(), slos, at)
			require.NoError(t, err)
			require.Equal(t, want, text(r), "one that starts at %s", at)
			require.Equal(t, want, text(later.Report()), "one that began a minute later, at %s", at)
			if m > 180 {
				require.Equal(t, want, text(down.Report()), "one that was down for an hour, at %s", at)
			}
			past[at] = want
			for i := range r.SLOs {
				s, less := &r.SLOs[i], within
				switch {
				case method == evaluator.MethodAggregated: // held against it elsewhere
					continue
				case strings.HasPrefix(s.ID, "late-"):
					less = 5.0 / 60 // what has not come, of an hour
				}
				requireTrue(t, s, worlds[s.Service], less)
			}
		}
		// Hours later the same is said of those instants, but of what came late.
		for at, then := range past {
			r, err := fresh().EvaluateAt(t.Context(), slos, at)
			require.NoError(t, err)
			var was evaluator.Report
			require.NoError(t, json.Unmarshal([]byte(then), &was))
			for i, s := range r.SLOs {
				if !strings.HasPrefix(s.ID, "late-") {
					x, y := evaluator.Report{SLOs: r.SLOs[i : i+1]}, evaluator.Report{SLOs: was.SLOs[i : i+1]}
					require.Equal(t, text(&y), text(&x))
				}
			}
		}
	})
}
