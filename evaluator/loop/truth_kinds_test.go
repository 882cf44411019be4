package loop_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/loop"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/spec"
)

func database(t *testing.T) *memprom.DB {
	t.Helper()
	db := servers.Embedded(t)
	return db
}

// storeNative writes the histograms of a world: until an instant as native ones, with
// the classic boundary as their only one, and after it as classic ones.
func storeNative(t *testing.T, app storage.Appender, w *truth.World, until time.Time) {
	t.Helper()
	good := map[string]map[int64]float64{}
	for _, s := range w.Series {
		if s.Labels.Get(labels.BucketLabel) == "0.3" {
			instance := map[int64]float64{}
			for _, x := range s.Samples {
				instance[x.T] = x.V
			}
			good[s.Labels.Get("instance")] = instance
		}
	}
	for _, s := range w.Series {
		name := s.Labels.Get(model.MetricNameLabel)
		for _, x := range s.Samples {
			switch {
			case name == "latency_seconds_bucket" && x.T <= until.UnixMilli():
			case name == "latency_seconds_count" && x.T <= until.UnixMilli():
				h := &histogram.FloatHistogram{Schema: histogram.CustomBucketsSchema, CustomValues: []float64{0.3}, Count: x.V, Sum: x.V}
				if value.IsStaleNaN(x.V) {
					h.Count = 0
				} else {
					h.PositiveSpans = []histogram.Span{{Length: 2}}
					below := good[s.Labels.Get("instance")][x.T]
					h.PositiveBuckets = []float64{below, x.V - below}
				}
				l := labels.NewBuilder(s.Labels).Set(model.MetricNameLabel, "latency_seconds").Labels()
				_, err := app.AppendHistogram(0, l, x.T, nil, h)
				require.NoError(t, err)
			default:
				_, err := app.Append(0, s.Labels, x.T, x.V)
				require.NoError(t, err)
			}
		}
	}
	require.NoError(t, app.Commit())
}

// TestNativeHistogramsAgainstTheTruth holds native histograms against what
// happened, of services that restart and whose pods are replaced, and one that
// goes back to classic histograms after 20 days.
func TestNativeHistogramsAgainstTheTruth(t *testing.T) {
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	start := end.Add(-truth.Days * 24 * time.Hour)
	for name, until := range map[string]time.Time{"hourly restarts": end, "pods replaced": end, "steady": start.Add(20 * 24 * time.Hour)} {
		service := truth.Scenarios()[name]
		require.NotEmpty(t, service.Job, name)
		service.Latency = true
		w := truth.Simulate(service, start, end)
		db := database(t)
		storeNative(t, db.Appender(t.Context()), w, until)
		server := httptest.NewServer(db.Handler())
		defer server.Close()
		o := options(server.URL, func() time.Time { return end.Add(time.Hour) })
		o.Windows = truthWindows
		r, err := loop.New(o).EvaluateAt(t.Context(), []*slo.SLO{specOf(t, service, "30d")}, end)
		require.NoError(t, err)
		require.True(t, r.SLOs[0].Exact)
		requireTrue(t, &r.SLOs[0], w, within)
	}
}

// TestGroupsAgainstTheTruth has each service as a tenant of one.
func TestGroupsAgainstTheTruth(t *testing.T) {
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	start := end.Add(-9 * 24 * time.Hour)
	db := database(t)
	worlds := map[string]*truth.World{}
	for name, s := range scenarios() {
		if s.Latency || name == "backfill" {
			continue // of other counters, or later than the samples of others
		}
		own := s.Relabel
		s.Relabel = func(now truth.Time) []string {
			out := []string{"tenant", s.Job}
			if own != nil {
				out = append(out, own(now)...)
			}
			return out
		}
		worlds[s.Job] = truth.Simulate(s, start, end)
		store(t, db, worlds[s.Job])
	}
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return end.Add(time.Hour) })
	o.Windows = truthWindows
	o.Backends[0].ReplicaLabels = []string{"prometheus_replica"}
	r, err := loop.New(o).EvaluateAt(t.Context(), slosOf(t, `{name: jobs, window: 7d, group_by: [tenant], sli: `+events+`}`), end)
	require.NoError(t, err)
	followed := map[string]bool{}
	for _, s := range r.SLOs[1:] {
		followed[s.Group["tenant"]] = true
	}
	for job, w := range worlds {
		n, _ := w.Events(end.Add(-time.Hour), end) // some are scraped from a later day on only
		require.Equal(t, n > 0, followed[job], job)
	}
	total, bad := 0.0, 0.0
	for _, s := range r.SLOs[1:] {
		w := worlds[s.Group["tenant"]]
		requireTrue(t, &s, w, within)
		n, b := w.Events(s.Windows[2].Start, s.Windows[2].End)
		total, bad = total+n, bad+b
	}
	whole := r.SLOs[0].Windows[2]
	require.InEpsilon(t, total, whole.Total, within)
	require.InEpsilon(t, bad, whole.Bad, within)
}

// TestSlicesAndJourneysAgainstTheTruth judges slices of five minutes and the
// minutes of a journey of two services.
func TestSlicesAndJourneysAgainstTheTruth(t *testing.T) {
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	start := end.Add(-truth.Days * 24 * time.Hour)
	db := database(t)
	var worlds []*truth.World
	var slos, names string
	for i, name := range []string{"diurnal", "errors reborn"} {
		s := truth.Scenarios()[name]
		worlds = append(worlds, truth.Simulate(s, start, end))
		store(t, db, worlds[i])
		sli := fmt.Sprintf(`sli: {events: {bad: 'requests_total{job="%s",code="500"}', total: 'requests_total{job="%[1]s"}'}}`, s.Job)
		slos += fmt.Sprintf("  - {name: s%d, %s}\n  - {name: slices%[1]d, budgeting: timeslices, slice: {length: 5m, target: 99}, %[2]s}\n", i, sli)
		names += fmt.Sprintf("shop/s%d, ", i)
	}
	set := spec.Load([]spec.File{{Name: "slo.yaml", Text: []byte("apiVersion: slowburn/v1\nservice: shop\ndefaults: {objective: 99, window: 30d}\nslos:\n" +
		slos + "  - {name: journey, worst_of: [" + names + "]}\n")}})
	require.Empty(t, set.Findings)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return end.Add(time.Hour) })
	o.Windows = truthWindows
	r, err := loop.New(o).EvaluateAt(t.Context(), set.SLOs, end)
	require.NoError(t, err)
	worse := func(w *truth.World, from, to time.Time) bool {
		total, bad := w.Events(from, to)
		return bad > 0.01*total
	}
	for _, s := range r.SLOs {
		for _, win := range s.Windows {
			n, bad := 0.0, 0.0
			for at := win.Start; at.Before(win.End); {
				next := at.Add(time.Minute)
				var failed bool
				switch s.SLO {
				case "journey":
					failed = worse(worlds[0], at, next) || worse(worlds[1], at, next)
				case "slices0", "slices1":
					next = at.Add(5 * time.Minute)
					failed = worse(worlds[s.SLO[6]-'0'], at, next)
				default:
					at = win.End // counted elsewhere
					continue
				}
				if n++; failed {
					bad++
				}
				at = next
			}
			if n > 0 {
				t.Logf("%s %s: bad %v of %v, truth %v of %v", s.SLO, win.Name, win.Bad, win.Total, bad, n)
				require.Equal(t, n, win.Total)
				require.InDelta(t, bad, win.Bad, within*n)
				require.True(t, bad > 0 || s.SLO != "journey" || win.Name != "30d", "the simulation lacks trouble")
			}
		}
	}
}

// fleet simulates what is not counted: two hosts, of which the second is down at
// times and gone at others, with a queue and a job on each.
type fleet struct {
	begin, end time.Time
	probed     [2][]bool // by minute: the host answered, where it was asked
	asked      [2][]bool
	queue      [2][]float64 // at the end of each minute, NaN where there is none
	success    [2][]int64   // the same, in seconds; 0 for none
}

const interval = 30 * time.Second

// fleetOf simulates from begin to end, and writes it.
func fleetOf(t *testing.T, db *memprom.DB, begin, end time.Time) *fleet {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 11))
	f := &fleet{begin: begin, end: end}
	for i, host := range []string{"a", "b"} {
		series := map[string][]memprom.Sample{}
		state, until, length, success, next := 1, begin, 5.0, int64(0), begin
		seen, stale := time.Time{}, true // the last scrape that showed the queue, and whether it ended since
		minute := func(at time.Time) {
			n := len(f.queue[i])
			f.queue[i] = append(f.queue[i], math.NaN())
			f.success[i] = append(f.success[i], 0)
			if !stale && at.Sub(seen) < 5*time.Minute {
				f.queue[i][n], f.success[i][n] = series["queue"][len(series["queue"])-1].Value, int64(series["success"][len(series["success"])-1].Value)
			}
		}
		for at := begin; !at.After(end); at = at.Add(interval) {
			slot := int((at.Add(time.Minute-1).Sub(begin))/time.Minute) - 1
			for len(f.asked[i]) <= slot {
				f.asked[i], f.probed[i] = append(f.asked[i], false), append(f.probed[i], true)
			}
			if i == 1 && !at.Before(until) { // 1 up, 0 down, -1 gone
				if state == 1 && rng.IntN(2000) < 3 {
					state, until = -rng.IntN(2), at.Add(time.Duration(1+rng.IntN(50))*time.Minute)
				} else if state != 1 {
					state = 1
				}
			}
			if !at.Before(next) {
				next = at.Add(55*time.Minute + time.Duration(rng.IntN(10))*time.Minute)
				if rng.IntN(12) > 0 {
					success = at.Unix() - int64(rng.IntN(20))
				}
			}
			length = max(0, length+rng.NormFloat64()*3)
			if state >= 0 {
				series["up"] = append(series["up"], memprom.Sample{Time: at, Value: float64(state)})
				if slot >= 0 {
					f.asked[i][slot] = true
					f.probed[i][slot] = f.probed[i][slot] && state == 1
				}
			} else if len(series["up"]) > 0 && seen.Equal(at.Add(-interval)) {
				series["up"] = append(series["up"], memprom.Sample{Time: at, Value: memprom.Stale()})
			}
			switch {
			case state == 1:
				series["queue"] = append(series["queue"], memprom.Sample{Time: at, Value: length})
				series["success"] = append(series["success"], memprom.Sample{Time: at, Value: float64(success)})
				seen, stale = at, false
			case !stale:
				series["queue"] = append(series["queue"], memprom.Sample{Time: at, Value: memprom.Stale()})
				series["success"] = append(series["success"], memprom.Sample{Time: at, Value: memprom.Stale()})
				stale = true
			}
			if at.After(begin) && at.Sub(begin)%time.Minute == 0 {
				minute(at)
			}
		}
		for name, samples := range series {
			require.NoError(t, db.Add(t.Context(), labels.FromStrings(model.MetricNameLabel, name, "job", "fleet", "instance", host), samples...))
		}
	}
	return f
}

const fleetSLOs = `{name: probe, sli: {probe: {metric: up}}}
{name: queue, sli: {threshold: {query: queue, op: "<", value: 60}}}
{name: fresh, sli: {freshness: {timestamp: success, max_age: 2h}}}
{name: runs, sli: {runs: {last_success: success, every: 1h, grace: 10m}}}`

// events returns what is to be counted for an SLO in the slots (n, m].
func (f *fleet) events(name string, n, m int) (bad, total float64) {
	known := [2]int64{}
	for slot := range m {
		b, all := 0.0, 0.0
		end := f.begin.Add(time.Duration(slot+1) * time.Minute).Unix()
		for i := range 2 {
			switch name {
			case "probe":
				if f.asked[i][slot] {
					all++
					if !f.probed[i][slot] {
						b++
					}
				}
			case "queue":
				if v := f.queue[i][slot]; !math.IsNaN(v) {
					all = 1
					if v >= 60 {
						b = 1
					}
				}
			case "fresh", "runs":
				s := f.success[i][slot]
				if name == "runs" && s > known[i] && known[i] != 0 {
					all++
				}
				if s != 0 {
					known[i] = s
				}
				if known[i] == 0 {
					continue
				}
				if name == "fresh" {
					all = 1
					if end-known[i] > 7200 {
						b = 1
					}
				} else if late := end - known[i] - 600; late > 0 && late/3600 > (late-60)/3600 {
					all++
					b++
				}
			}
		}
		if slot >= n {
			bad, total = bad+b, total+all
		}
	}
	return bad, total
}

func fleetSpecs(t *testing.T, window string) []*slo.SLO {
	t.Helper()
	text := "apiVersion: slowburn/v1\nservice: fleet\ndefaults: {objective: 99, window: " + window + "}\nslos:\n"
	for line := range strings.Lines(fleetSLOs) {
		text += "  - " + strings.TrimSpace(line) + "\n"
	}
	set := spec.Load([]spec.File{{Name: "fleet.yaml", Text: []byte(text)}})
	require.False(t, yamlfile.HasErrors(set.Findings), set.Findings)
	return set.SLOs
}

// TestFleetAgainstTheTruth holds probes, thresholds, freshness and runs of 30 days
// against what happened, to the event.
func TestFleetAgainstTheTruth(t *testing.T) {
	end := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	begin := end.Add(-40 * 24 * time.Hour)
	db := database(t)
	f := fleetOf(t, db, begin, end)
	server := httptest.NewServer(db.Handler())
	defer server.Close()
	o := options(server.URL, func() time.Time { return end.Add(time.Hour) })
	o.Windows = truthWindows
	r, err := loop.New(o).EvaluateAt(t.Context(), fleetSpecs(t, "30d"), end)
	require.NoError(t, err)
	for _, s := range r.SLOs {
		for _, w := range s.Windows {
			bad, total := f.events(s.SLO, int(w.Start.Sub(begin)/time.Minute), int(w.End.Sub(begin)/time.Minute))
			t.Logf("%s %s: bad %v of %v, truth %v of %v", s.SLO, w.Name, w.Bad, w.Total, bad, total)
			require.Equal(t, [2]float64{bad, total}, [2]float64{w.Bad, w.Total}, "%s over %s", s.SLO, w.Name)
		}
		require.Positive(t, s.Windows[2].Bad, "the simulation lacks trouble")
	}
}

// TestTheSameNumbersOfEveryKind has a process that was up all along say the same
// as one that starts now, to the byte.
func TestTheSameNumbersOfEveryKind(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where a bubble's clock begins
	db := database(t)
	fleetOf(t, db, begin.Add(-9*24*time.Hour), begin.Add(8*time.Hour))
	traffic(t, db, rand.New(rand.NewPCG(3, 5)), "requests", begin.Add(-9*24*time.Hour), begin.Add(8*time.Hour), interval)
	slos := append(fleetSpecs(t, "6h"), slosOf(t,
		`{name: dead, window: 6h, on_no_data: bad, sli: {probe: {metric: up}}}`,
		`{name: silent, window: 6h, on_no_data: bad, sli: {threshold: {query: 'queue{instance="b"}', op: "<", value: 60}}}`,
		`{name: slices, window: 6h, budgeting: timeslices, slice: {length: 20m, target: 99}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: absent, window: 6h, on_no_data: bad, budgeting: timeslices, slice: {length: 5m, target: 99}, sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: rates, window: 6h, sli: {events: {bad: 'max(rate(requests_total{code="500"}[$window]))', total: 'max(rate(requests_total[$window]))'}}}`,
		`{name: weighted, window: 6h, sli: {events: {bad: '0.3 * sum(rate(requests_total{code="500"}[$window]))', total: 'sum(rate(requests_total[$window]))'}}}`,
		`{name: deltas, window: 6h, sli: {events: {type: delta, bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: recorded, window: 6h, sli: {events: {type: rate, bad: 'requests_total{code="500"} / 7', total: requests_total}}}`,
		`{name: split, window: 6h, group_by: [code], sli: {events: {bad: 'requests_total{code="500"}', total: requests_total}}}`,
		`{name: journey, window: 6h, worst_of: [shop/silent, shop/weighted]}`)...)
	synctest.Test(t, func(t *testing.T) {
		fresh := func() *loop.Loop {
			o := live(slog.New(slog.DiscardHandler), db.Handler())
			o.Windows, o.NewJudge = truthWindows, nil
			return loop.New(o)
		}
		text := func(r *evaluator.Report) string {
			out, err := json.Marshal(r)
			require.NoError(t, err)
			return string(out)
		}
		long := fresh()
		long.SetSLOs(slos, nil)
		defer run(t, long)()
		for m := 67; m <= 7*60; m += 67 {
			at := begin.Add(time.Duration(m) * time.Minute)
			until(at.Add(31 * time.Second))
			r, err := fresh().EvaluateAt(t.Context(), slos, at)
			require.NoError(t, err)
			was := long.Report()
			require.Len(t, r.SLOs, len(was.SLOs))
			for i := range r.SLOs {
				require.Equal(t, text(&evaluator.Report{SLOs: was.SLOs[i : i+1]}), text(&evaluator.Report{SLOs: r.SLOs[i : i+1]}), "at %s", at)
			}
		}
	})
}

// TestCostOfEveryKind holds what 67 minutes of each kind, with an audit of those that
// have audits, cost the backend against the samples that come in them.
func TestCostOfEveryKind(t *testing.T) {
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	db := hundred(t, begin.Add(-9*24*time.Hour), begin.Add(2*time.Hour))
	w := truth.Simulate(truth.Service{Job: "native", Interval: 30, Instances: 5, Latency: true,
		Rate: func(truth.Time) float64 { return 4 }, Bad: func(truth.Time) float64 { return 0.1 }}, begin.Add(-30*time.Hour), begin.Add(2*time.Hour))
	storeNative(t, db.Appender(t.Context()), w, begin.Add(2*time.Hour))
	for name, kind := range map[string]struct {
		slo, selector string
		audits        int // of counters
	}{
		"probe":     {`{name: a, window: 6h, sli: {probe: {metric: requests_total}}}`, "requests_total", 0},
		"threshold": {`{name: a, window: 6h, sli: {threshold: {query: requests_total, op: ">", value: 1}}}`, "requests_total", 0},
		"freshness": {`{name: a, window: 6h, sli: {freshness: {timestamp: requests_total + 9e8, max_age: 1h}}}`, "requests_total", 0},
		"runs":      {`{name: a, window: 6h, sli: {runs: {last_success: requests_total + 9e8, every: 1h}}}`, "requests_total", 0},
		"rates":     {`{name: a, window: 6h, sli: {events: {bad: 'max(rate(requests_total{code="500"}[$window]))', total: 'max(rate(requests_total{code="200"}[$window]))'}}}`, "requests_total", 0},
		"deltas":    {`{name: a, window: 6h, sli: {events: {type: delta, bad: 'requests_total{code="500"}', total: requests_total}}}`, "requests_total", 2},
		"slices":    {`{name: a, window: 6h, budgeting: timeslices, slice: {length: 5m, target: 90}, sli: ` + events + `}`, "requests_total", 2},
		"native":    {`{name: a, window: 6h, sli: ` + latency + `}`, "latency_seconds", 2},
		"journey": {`{name: a, window: 6h, sli: ` + events + `}
  - {name: b, window: 6h, worst_of: [shop/a]}`, "requests_total", 4},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Input{Handler: db.Handler()}
			synctest.Test(t, func(t *testing.T) {
				o := live(slog.New(slog.DiscardHandler), m)
				o.NewJudge = nil
				e := loop.New(o)
				e.SetSLOs(slosOf(t, kind.slo), nil)
				defer run(t, e)()
				until(begin.Add(10*time.Minute + 40*time.Second))
				m.taken()
				before := audits(t, o.Registerer)
				until(begin.Add(77*time.Minute + 40*time.Second))
				samples, queries := m.taken()
				require.Equal(t, kind.audits, audits(t, o.Registerer)-before)
				for _, s := range e.Report().SLOs {
					require.Equal(t, evaluator.StateOK, s.State, s.StateReason)
				}
				target := fmt.Sprintf("/api/v1/query?query=%s[67m]&time=%d", kind.selector, begin.Add(77*time.Minute).Unix())
				m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, target, nil))
				coming, _ := m.taken()
				t.Logf("%d samples in %d queries, %.2f of those that come", samples, queries, float64(samples)/float64(coming))
				require.LessOrEqual(t, float64(samples), 5*float64(coming))
			})
		})
	}
}

// audits is how many counters were audited.
func audits(t *testing.T, registry prometheus.Registerer) int {
	t.Helper()
	families, err := registry.(prometheus.Gatherer).Gather()
	require.NoError(t, err)
	n := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "slowburn_audits_total" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return int(n)
}
