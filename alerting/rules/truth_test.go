package rules

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/memprom"
	"github.com/slowburn-slo/slowburn/evaluator/servers"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/evaluator/truth"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/golden"
)

// The truth that rules are held against: the last days of each simulated service.
const (
	truthWindow = 4 * 24 * time.Hour
	truthRunUp  = 2 * time.Hour  // before these
	truthLate   = 12 * time.Hour // of services whose samples all come late, instant by instant
	near        = 0.01           // of the evaluator's numbers
)

var (
	truthHalf  = truthEnd.Add(-truthWindow / 2)
	truthEnd   = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	truthStart = truthEnd.Add(-truth.Days * 24 * time.Hour) // of what happens
)

// TestRulesOnTheTruth holds the window values of generated rules against the
// evaluator's on services that are hard to count. They are within 1 % in each window
// in which no series is born and scraping has no gaps. How far off they are
// elsewhere, and how far the two forms of increase() are, is in docs/explanation/rules.md.
func TestRulesOnTheTruth(t *testing.T) {
	services := truth.Scenarios()
	delete(services, "young backend") // began before these days
	if testing.Short() {
		few := []string{"steady latency", "hourly restarts", "errors reborn", "pods replaced", "replicas by label", "every 5 min", "late 1 min"}
		maps.DeleteFunc(services, func(name string, _ truth.Service) bool { return !slices.Contains(few, name) })
	}
	rows := map[string]*string{}
	t.Run("count", func(t *testing.T) {
		for name, service := range services {
			row := new(string)
			rows[name] = row
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPattern(t, service)
				for _, w := range alerting.BuiltIn().Windows(p.slo) {
					p.compare(w)
				}
				*row = p.row(name)
			})
		}
	})
	const page, part = "../../docs/explanation/rules.md", "truth"
	text := "| service | births, gaps | events | rules | `increase(x[1m] anchored)` | `increase(x[1m])` |\n|---|---|---|---|---|---|\n"
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		require.True(t, !testing.Short() || strings.Contains(golden.Part(t, page, part), *rows[name]), *rows[name])
		text += *rows[name]
	}
	if !testing.Short() {
		golden.RequirePart(t, page, part, text)
	}
}

// pattern is a simulated service, and what is counted of it.
type pattern struct {
	t        *testing.T
	db       *memprom.DB
	slo      *slo.SLO
	latency  bool
	doubtful map[timeline.Minute]string // slots in which something is born or missing, and what
	late     *timeline.Timeline         // by the evaluator at the end
	early    *timeline.Timeline         // and halfway, when it knew the slots before one by one
	first    timeline.Minute            // from which on it is counted
	phase    time.Duration              // of the group "slots" within the minute; negative where samples come late

	rules, anchored, plain count2 // slot by slot
}

// count2 are events of slots by their ends.
type count2 struct{ total, bad map[timeline.Minute]float64 }

func newPattern(t *testing.T, service truth.Service) *pattern {
	t.Helper()
	db := servers.Embedded(t)
	p := &pattern{t: t, db: db, latency: service.Latency, doubtful: map[timeline.Minute]string{}}
	p.slo = example(t, "", `requests_total{job="`+service.Job+`",code="500"}`, `requests_total{job="`+service.Job+`"}`)
	if service.Latency {
		p.slo.Indicator = slo.Latency{Histogram: selector(t, `latency_seconds{job="`+service.Job+`"}`), Threshold: 0.3, Text: "300ms"}
	}
	p.slo.Objective, p.slo.Window, p.slo.Alerting = objective(t, "99"), slo.Rolling(slo.Window(truthWindow)), slo.Alerting{}
	from := truthEnd.Add(-truthWindow - truthRunUp)
	w := truth.SimulateFrom(service, truthStart, from, truthEnd)
	p.doubt(service, w, from)
	p.first, p.phase = timeline.MinuteOf(truthEnd.Add(-truthWindow)), -1
	if late := delay(w); len(late) > 0 && len(w.Series[0].Samples) == 0 {
		p.first = timeline.MinuteOf(truthEnd.Add(-truthLate))
		w.Series = late
		p.play(w, truthEnd.Add(-truthLate-time.Hour))
		runRanks(t, db, p.slo, truthEnd.Add(-truthLate-time.Hour), truthEnd.Add(6*time.Minute), rankQuarters)
	} else {
		arrive(t, db, w, math.MaxInt64)
		runSeries(t, db, p.slo, from.Add(time.Hour), truthEnd.Add(6*time.Minute))
		at := recorded(t, db, eventsOf("slot"))[0].Time
		p.phase = at.Sub(at.Truncate(time.Minute))
		arrive(t, db, &truth.World{Series: late}, math.MaxInt64) // when rules don't look back to it any more
	}
	p.early, p.late = p.evaluate(truthHalf), p.evaluate(truthEnd)
	read := func(name string) map[timeline.Minute]float64 {
		out := map[timeline.Minute]float64{}
		for _, s := range recorded(t, db, name) {
			out[slotAt(s.Time)] = s.Value
		}
		return out
	}
	p.rules = count2{read(totalSlots), read(badSlots)}
	p.anchored, p.plain = p.increase(" anchored"), p.increase("")
	return p
}

// delay takes what comes late from a world.
func delay(w *truth.World) []*truth.Series {
	var late []*truth.Series
	for _, s := range w.Series {
		l := &truth.Series{Labels: s.Labels}
		s.Samples = slices.DeleteFunc(s.Samples, func(x truth.Sample) bool {
			if x.Arrives == x.T {
				return false
			}
			l.Samples = append(l.Samples, x)
			return true
		})
		if len(l.Samples) > 0 {
			late = append(late, l)
		}
	}
	return late
}

// arrive stores what a backend has by an instant, in milliseconds, and takes it from
// what is still to come.
func arrive(t *testing.T, db *memprom.DB, w *truth.World, until int64) {
	t.Helper()
	for _, s := range w.Series {
		var samples []memprom.Sample
		for ; len(s.Samples) > 0 && s.Samples[0].Arrives <= until; s.Samples = s.Samples[1:] {
			samples = append(samples, memprom.Sample{Time: time.UnixMilli(s.Samples[0].T), Value: s.Samples[0].V})
		}
		if len(samples) > 0 {
			require.NoError(t, db.Add(t.Context(), s.Labels, samples...))
		}
	}
}

// play evaluates the rules of slots while samples come late: as early as rules may,
// half a minute after each slot.
func (p *pattern) play(w *truth.World, from time.Time) {
	file, errs := rulefmt.Parse(ruleText(p.t, p.slo), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(p.t, errs)
	for now := from.Add(30 * time.Second); now.Before(truthEnd.Add(time.Minute)); now = now.Add(time.Minute) {
		arrive(p.t, p.db, w, now.UnixMilli())
		for _, r := range file.Groups[0].Rules {
			if !strings.HasPrefix(r.Record, "slo:slot") {
				continue
			}
			q, err := p.db.Engine().NewInstantQuery(p.t.Context(), p.db.Queryable(), nil, r.Expr, now)
			require.NoError(p.t, err)
			v, err := q.Exec(p.t.Context()).Vector()
			require.NoError(p.t, err)
			for _, x := range v {
				b := labels.NewBuilder(x.Metric).Set(model.MetricNameLabel, r.Record)
				for name, text := range r.Labels {
					b.Set(name, text)
				}
				require.NoError(p.t, p.db.Add(p.t.Context(), b.Labels(), memprom.Sample{Time: now, Value: x.F}))
			}
			q.Close()
		}
	}
	arrive(p.t, p.db, w, math.MaxInt64)
}

// evaluate gives the evaluator's timeline at an instant.
func (p *pattern) evaluate(end time.Time) *timeline.Timeline {
	server := httptest.NewServer(p.db.Handler())
	defer server.Close()
	var out *timeline.Timeline
	o := evaluatorOptions(server.URL)
	o.Backends[0].ReplicaLabels = []string{"prometheus_replica"}
	o.NewJudge = func() evaluator.Judge {
		return func(_ *slo.SLO, t *timeline.Timeline, _ timeline.Minute) []evaluator.FiringAlert {
			out = t
			return nil
		}
	}
	o.Lookback = func(s *slo.SLO) time.Duration { return s.Window.Length.Duration() + time.Hour }
	evaluateAt(p.t, o, p.slo, end)
	return out
}

// want returns what the evaluator counts.
func (p *pattern) want(from, to timeline.Minute) (total, bad float64) {
	half := timeline.MinuteOf(truthHalf)
	a, b := p.early.Sum(min(from, half), min(to, half)), p.late.Sum(max(from, half), max(to, half))
	return a.Total + b.Total, a.Bad + b.Bad
}

// increase counts by increase() over each slot, with a modifier.
func (p *pattern) increase(modifier string) count2 {
	o := parser.NewParser(parser.Options{EnableExtendedRangeSelectors: true})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 5e7, Timeout: time.Minute, Parser: o})
	defer func() { require.NoError(p.t, engine.Close()) }()
	read := func(c slo.Counter) map[timeline.Minute]float64 {
		q, err := engine.NewRangeQuery(p.t.Context(), p.db.Queryable(), nil, "sum(increase("+c[0].Selector.String()+"[1m]"+modifier+"))",
			truthEnd.Add(-truthWindow), truthEnd, time.Minute)
		require.NoError(p.t, err)
		defer q.Close()
		m, err := q.Exec(p.t.Context()).Matrix()
		require.NoError(p.t, err)
		out := map[timeline.Minute]float64{}
		for _, s := range m {
			for _, x := range s.Floats {
				out[timeline.MinuteOf(time.UnixMilli(x.T))] = x.F
			}
		}
		return out
	}
	c := p.slo.Indicator.Measure().(slo.Counters)
	out := count2{total: read(c.Total)}
	if !p.latency {
		out.bad = read(c.Bad)
		return out
	}
	out.bad = maps.Clone(out.total)
	for m, good := range read(c.Good) {
		out.bad[m] -= good
	}
	return out
}

// doubt finds the slots in which a series is born, or comes back, or scrapes are
// missing or late, and where there are several scrapers by label.
func (p *pattern) doubt(service truth.Service, w *truth.World, from time.Time) {
	mark := func(a, b int64, what string) {
		for m := timeline.Minute((a + 59_999) / 60_000); m <= timeline.Minute((b+59_999)/60_000); m++ {
			p.doubtful[m] = what
		}
	}
	for _, of := range []string{"births", "gaps"} {
		for _, s := range w.Series {
			switch name := s.Labels.Get(model.MetricNameLabel); {
			case name == "process_start_time_seconds" || (name == "up") != (of == "gaps"):
				continue
			case s.Labels.Get("prometheus_replica") != "":
				mark(from.UnixMilli(), truthEnd.UnixMilli(), "twice")
			case s.Samples[0].T > from.Add(10*time.Minute).UnixMilli():
				mark(s.Samples[0].T, s.Samples[0].T, "births")
			}
			for i, x := range s.Samples[1:] {
				before := s.Samples[i]
				if value.IsStaleNaN(before.V) || x.T-before.T > service.Interval*1500 {
					mark(before.T, x.T, of)
				}
				if x.Arrives > x.T {
					mark(x.T, x.T+service.Interval*1000, "late")
				}
			}
		}
	}
}

// doubtIn returns the causes that make a window doubtful, "" for none.
func (p *pattern) doubtIn(from, to timeline.Minute) string {
	var all []string
	for m := from + 1; m <= to; m++ {
		if what := p.doubtful[m]; what != "" && !slices.Contains(all, what) {
			all = append(all, what)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (c count2) sum(from, to timeline.Minute) (total, bad float64) {
	for m := from + 1; m <= to; m++ {
		total += c.total[m]
		bad += c.bad[m]
	}
	return total, bad
}

// compare holds a window against the evaluator's wherever rules recorded it and
// nothing is doubtful.
func (p *pattern) compare(win slo.Window) {
	first, last := p.first, timeline.MinuteOf(truthEnd)
	compared := 0
	hold := func(end timeline.Minute, total, bad, ratio float64) {
		from := end.Add(-win.Duration())
		if end > last || from < first-15 || p.doubtIn(from, end) != "" {
			return
		}
		compared++
		allEvents, badEvents := p.want(from, end)
		require.InDelta(p.t, allEvents, total, near*allEvents, "events over %s until %s", win, end.Time())
		require.InDelta(p.t, badEvents, bad, near*badEvents, "bad events over %s until %s", win, end.Time())
		if allEvents > 0 {
			require.InDelta(p.t, badEvents/allEvents, ratio, near*badEvents/allEvents, "share over %s until %s", win, end.Time())
		}
	}
	window := `{window="` + win.String() + `"}`
	if win <= LongestDirect {
		for _, s := range recorded(p.t, p.db, "slo_burn_rate"+window) {
			if end := slotAt(s.Time); end%5 == 0 {
				total, bad := p.rules.sum(end.Add(-win.Duration()), end)
				hold(end, total, bad, s.Value*(1-p.slo.Objective.Ratio()))
			}
		}
	} else if p.phase >= 0 {
		bad := recorded(p.t, p.db, `slo:long:events{result="bad",window="`+win.String()+`"}`)
		for i, s := range recorded(p.t, p.db, `slo:long:events{result="",window="`+win.String()+`"}`) {
			require.Equal(p.t, s.Time, bad[i].Time)
			// The newest slot to the group "slots" at the quarter.
			newest := s.Time.Truncate(15 * time.Minute).Add(p.phase - time.Minute)
			hold(slotAt(newest), s.Value, bad[i].Value, bad[i].Value/s.Value)
		}
	}
	if p.doubtIn(first, last) == "" {
		require.NotZero(p.t, compared, "windows of %s", win)
	}
}

// row is a row of the table in docs/explanation/rules.md.
func (p *pattern) row(name string) string {
	first, last := p.first, timeline.MinuteOf(truthEnd)
	want, _ := p.want(first, last)
	total, _ := p.rules.sum(first, last)
	counts := []count2{p.rules, p.anchored, p.plain}
	if p.first > timeline.MinuteOf(truthEnd.Add(-truthWindow)) {
		name += ", for 12 h"
	}
	if p.doubtIn(first, last) == "late" {
		counts = counts[:1] // the others were asked when all was there
	}
	cells := []string{name, p.doubtIn(first, last), percent(total/want - 1)}
	for _, c := range counts {
		whole := p.off(c, first, last)
		worst := 0.0
		for end := first + 60; end <= last; end += 15 {
			if x := p.off(c, end-60, end); math.Abs(x) > math.Abs(worst) {
				worst = x
			}
		}
		cells = append(cells, percent(whole)+", "+percent(worst))
	}
	for len(cells) < 6 {
		cells = append(cells, "-")
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// off is by how much the share of bad events is off in a window.
func (p *pattern) off(c count2, from, to timeline.Minute) float64 {
	allEvents, badEvents := p.want(from, to)
	if badEvents <= 0 {
		return 0
	}
	total, bad := c.sum(from, to)
	if total <= 0 {
		return -1
	}
	return max(bad, 0)/total/(badEvents/allEvents) - 1
}

func percent(x float64) string {
	switch {
	case math.Abs(x) < 0.0005:
		return "0"
	case math.Abs(x) < 0.0995:
		return fmt.Sprintf("%+.1f %%", 100*x)
	}
	return fmt.Sprintf("%+.0f %%", 100*x)
}
