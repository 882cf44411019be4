package evaluator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/slo"
)

// Concern is what a backend's data has against an SLO.
type Concern struct {
	SLO           *slo.SLO
	Field         string // of the SLO file: "window", "sli.events.bad"
	Wrong         bool   // it can't work; else it is probably not meant
	Message, Hint string
}

// Sense asks the backends whether SLOs make sense there: whether there are series
// for them, for how long and how often; and what their histograms and groups
// are. The concerns are in the order of the SLOs. The error is one of a whole
// backend.
func (e *Evaluator) Sense(ctx context.Context, slos []*slo.SLO) ([]Concern, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	concerns := make([][]Concern, len(slos))
	asked := map[*lane]*answers{}
	end := e.behindNow()
	places, workers := make(chan int), sync.WaitGroup{}
	for _, b := range e.backends {
		asked[b] = &answers{reader: b.reader, known: map[string]answer{}}
		for range b.MaxConcurrency {
			workers.Go(func() {
				for i := range places {
					x := inspector{answers: asked[e.backendOf(slos[i])], slo: slos[i], end: end, short: e.Windows(slos[i])[0], blind: e.Blind}
					if err := x.inspect(ctx); err != nil {
						cancel(err)
					}
					concerns[i] = x.concerns
				}
			})
		}
	}
	for i := range slos {
		places <- i
	}
	close(places)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return slices.Concat(concerns...), nil
}

// answers are what a backend said, for SLOs that ask the same.
type answers struct {
	*reader
	mu    sync.Mutex
	known map[string]answer
}

type answer struct {
	series []vector
	err    error
}

// ask sends a query, once.
func (a *answers) ask(ctx context.Context, promql string, at Minute) ([]vector, error) {
	key := fmt.Sprint(at, " ", promql)
	a.mu.Lock()
	known, ok := a.known[key]
	a.mu.Unlock()
	if !ok {
		known.series, known.err = a.query(ctx, promql, at.Time())
		a.mu.Lock()
		a.known[key] = known
		a.mu.Unlock()
	}
	return known.series, known.err
}

// number is the largest value of an answer, and whether there is any.
func (a *answers) number(ctx context.Context, promql string, at Minute) (float64, bool, error) {
	series, err := a.ask(ctx, promql, at)
	largest, found := 0.0, false
	for _, v := range series {
		for _, s := range v.samples {
			largest, found = max(largest, s.v), true
		}
	}
	return largest, found, err
}

// inspector asks about one SLO.
type inspector struct {
	*answers
	slo      *slo.SLO
	end      Minute
	short    slo.Window // the shortest that alerts look at
	blind    func(s *slo.SLO, least time.Duration) []string
	concerns []Concern
}

func (x *inspector) concern(wrong bool, field, hint, format string, args ...any) {
	x.concerns = append(x.concerns, Concern{x.slo, field, wrong, fmt.Sprintf(format, args...), hint})
}

// fault is a concern about what the evaluation of the SLO refuses.
func (x *inspector) fault(field string, fault unfit) {
	x.concern(true, field, fault.hint, "%s", fault.message)
}

// subject is something that an SLO is about: series, or values of an expression.
type subject struct {
	query
	field   string
	counter bool
}

// over is the subject over a length of time, as PromQL. Values are looked at
// every 15 minutes, for less than a day every 5.
func (s subject) over(d time.Duration) string {
	switch {
	case s.way == rawSamples:
		return s.selector.Range(d)
	case d >= 24*time.Hour:
		return fmt.Sprintf("(%s)[%s:15m]", s.expr, slo.Window(d))
	}
	return fmt.Sprintf("(%s)[%s:5m]", s.expr, slo.Window(d))
}

// fieldOf is the place in an SLO file of what an indicator asks for in a role.
func fieldOf(i slo.Indicator, r role) string {
	kind := i.Kind()
	names := map[string][3]string{
		"events": {"good", "bad", "total"}, "runs": {"succeeded", "failed", "last_success"}, "latency": {"histogram", "histogram", "histogram"},
		"probe": {"", "", "metric"}, "threshold": {"", "", "query"}, "freshness": {"", "", "timestamp"},
	}[kind]
	for n, each := range allRoles {
		if r == each {
			return "sli." + kind + "." + names[n]
		}
	}
	return "sli." + kind
}

// inspect asks all there is to ask. The error is one of the whole backend; what
// it refuses is a concern.
func (x *inspector) inspect(ctx context.Context) error {
	ask := x.indicator
	if _, isJourney := x.slo.Indicator.Measure().(slo.Parts); isJourney {
		ask = x.journey
	}
	if err := ask(ctx); err != nil {
		return err
	}
	if err := x.trial(ctx); err != nil {
		return err
	}
	return x.undecided(ctx)
}

// indicator asks about what is measured.
func (x *inspector) indicator(ctx context.Context) error {
	var all []subject
	m := newMeter(x.slo.Indicator)
	_, counters := x.slo.Indicator.Measure().(slo.Counters)
	x.estimated()
	for _, q := range m.queries {
		all = append(all, subject{q, fieldOf(x.slo.Indicator, q.role), counters})
	}
	if l, ok := x.slo.Indicator.(slo.Latency); ok {
		one, err := x.histogram(ctx, l)
		if err != nil {
			return x.told(err, "sli.latency.histogram")
		}
		all = []subject{one}
	}
	lasting := true
	for _, s := range all {
		found, err := x.present(ctx, s)
		if err == nil && s.counter {
			err = x.bucket(ctx, s)
		}
		if err == nil { // of an expression without values the range may be too short, and samples may come late
			err = x.samples(ctx, s)
		}
		if err == nil {
			err = x.seldom(ctx, s)
		}
		if err == nil && found && s.role&m.clock() != 0 && lasting {
			lasting, err = x.lasts(ctx, s)
		}
		if err == nil && found {
			err = x.groups(ctx, s)
		}
		if err == nil && found && s.counter && s.role&m.clock() != 0 {
			if err = x.twins(ctx, s); err == nil {
				err = x.pushed(ctx, s)
			}
		}
		if err == nil && found && s.role == roleTotal {
			err = x.values(ctx, s)
		}
		if err := x.told(err, s.field); err != nil {
			return err
		}
	}
	return x.told(x.excess(ctx, m), fieldOf(x.slo.Indicator, roleTotal))
}

// told makes a concern of an error that speaks of a query alone.
func (x *inspector) told(err error, field string) error {
	var fault unfit
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault):
		x.fault(field, fault)
		return nil
	case refused(err) || tookLong(err):
		x.concern(true, field, "", "the query fails: %s", err)
		return nil
	}
	return fmt.Errorf("asking backend %s about %s: %w", x.Name, x.slo.ID(), err)
}

// journey asks how long the parts of an SLO of others go back. All else is asked
// for the parts themselves.
func (x *inspector) journey(ctx context.Context) error {
	meters, _ := metersOf(x.slo)
	for _, m := range meters {
		queries := slices.DeleteFunc(slices.Clone(m.queries), func(q query) bool { return q.role&m.clock() == 0 })
		if m.native != nil {
			queries = append(queries, query{selector: m.native.Histogram}.named())
		}
		for _, q := range queries {
			s := subject{query: q, field: "worst_of"}
			if found, err := x.now(ctx, s); err != nil || !found {
				continue // a concern about the part
			}
			if lasting, err := x.lasts(ctx, s); err != nil || !lasting {
				return x.told(err, s.field)
			}
		}
	}
	return nil
}

func (x *inspector) now(ctx context.Context, s subject) (bool, error) {
	_, found, err := x.number(ctx, "count("+s.text()+")", x.end)
	return found, err
}

// present reports whether there is something now. That there was nothing for a
// day is a concern, but for counters of a part of the events, which may be born
// by the first of them.
func (x *inspector) present(ctx context.Context, s subject) (bool, error) {
	if found, err := x.now(ctx, s); err != nil || found {
		return found, err
	}
	_, found, err := x.number(ctx, "count(last_over_time("+s.over(24*time.Hour)+"))", x.end)
	if err != nil || found {
		return false, err
	}
	if s.way != rawSamples {
		if s.role&(roleGood|roleBad) == 0 || x.slo.Indicator.Kind() != "events" {
			x.concern(false, s.field, "", "the query has no values now, and had none for a day")
		}
		return false, nil
	}
	why, err := x.absence(ctx, s)
	if err == nil && why != "" {
		x.concern(false, s.field, why, "no series match %s, now or in the last day", s.selector)
	}
	return false, err
}

// absence tells why no series match a selector: none has the name, or none of
// the name has one of the labels. It is "" for a part of the events whose labels
// are there and may have its values.
func (x *inspector) absence(ctx context.Context, s subject) (string, error) {
	var name *labels.Matcher
	for _, m := range s.selector.Matchers() {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			name = m
		}
	}
	if name == nil {
		return "the selector names no metric", nil
	}
	among := func(more ...*labels.Matcher) (bool, error) {
		_, found, err := x.number(ctx, "count("+slo.NewSelector(name).With(more...).String()+")", x.end)
		return found, err
	}
	if found, err := among(); err != nil || !found {
		return "there are no series by the name " + name.Value + " now", err
	}
	part := s.counter && s.role != roleTotal
	for _, m := range s.selector.Matchers() {
		if m == name {
			continue
		}
		if found, err := among(labels.MustNewMatcher(labels.MatchNotEqual, m.Name, "")); err != nil || !found && !m.Matches("") {
			return fmt.Sprintf("no series of %s has a label %s", name.Value, m.Name), err
		}
		if found, err := among(m); !part && (err != nil || !found) {
			return fmt.Sprintf("there are series of %s, but none with %s", name.Value, m), err
		}
	}
	if part {
		return x.unmatchable(ctx, s, name)
	}
	return "there are series of " + name.Value + ", but none with all these labels", nil
}

// perWindow is how many samples a window should have of each series.
const perWindow = 4

// samples asks how often samples come, of series that have been there for an
// hour, and whether counters grow.
func (x *inspector) samples(ctx context.Context, s subject) error {
	selectors := []slo.Selector{s.selector}
	if s.way == slotValues {
		if _, rates := x.slo.Indicator.Measure().(slo.Rates); !rates {
			return nil // a value is one of the last five minutes
		}
		selectors = selectorsIn(s.expr)
	}
	for _, selector := range selectors {
		if selector.Name() == "" {
			continue // functions drop the name, which may be all that tells series apart
		}
		each, found, err := x.cadence(ctx, selector, time.Hour)
		if err != nil || !found {
			return err
		}
		switch limit := x.short.Duration() / perWindow; {
		case s.way == slotValues && each > time.Minute+tolerance:
			x.concern(false, s.field, "a range of 2m needs two samples; scrape once a minute, or count by rate() and increase() of selectors",
				"samples of %s come every %s, too seldom for an expression that is evaluated", selector, model.Duration(each))
		case s.way == rawSamples && each > limit+limit/20 && each <= maxScrape*time.Millisecond:
			x.concern(false, s.field, fmt.Sprintf("scrape at least every %s", model.Duration(limit)),
				"samples of %s come every %s, fewer than %d in the %s that alerts look at", selector, model.Duration(each), perWindow, x.short)
		}
		if _, is := x.slo.Indicator.Measure().(slo.Increments); is {
			if err := x.grows(ctx, s, selector); err != nil {
				return err
			}
		}
		if s.counter {
			if err := x.noCounter(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// tolerance is how much later than once a minute samples may be on average, for
// some of them are missed.
const tolerance = 3 * time.Second

// selectorsIn are the selectors over ranges in an expression; those of MetricsQL
// alone are not found.
func selectorsIn(expr string) []slo.Selector {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil
	}
	found := map[string]slo.Selector{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if r, ok := n.(*parser.MatrixSelector); ok {
			if v, ok := r.VectorSelector.(*parser.VectorSelector); ok {
				s := slo.NewSelector(v.LabelMatchers...)
				found[s.String()] = s
			}
		}
		return nil
	})
	var out []slo.Selector
	for _, text := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[text])
	}
	return out
}

// groups asks whether what an SLO is split by is there, and how often.
func (x *inspector) groups(ctx context.Context, s subject) error {
	g := x.slo.Groups
	if g == nil {
		return nil
	}
	rows, err := x.ask(ctx, fmt.Sprintf("count by (%s) (%s)", slo.LabelList(g.By...), s.text()), x.end)
	if err != nil {
		return err
	}
	whole := 0
	has := map[string]bool{}
	for _, row := range rows {
		all := true
		for _, name := range g.By {
			has[name] = has[name] || row.labels[name] != ""
			all = all && row.labels[name] != ""
		}
		if all {
			whole++
		}
	}
	for _, name := range g.By {
		if !has[name] && len(rows) > 0 {
			x.concern(true, "group_by", "", "no series of %s has the label %s", s.text(), name)
		}
	}
	if whole > g.Limit {
		x.concern(false, "group_by", "raise groups.limit, or split by fewer labels",
			"%s has %d groups and a limit of %d; the others are not followed one by one", s.text(), whole, g.Limit)
	}
	return nil
}

// lasts asks whether there is something for as long as the SLO's window, and
// finds the oldest where there is not.
func (x *inspector) lasts(ctx context.Context, s subject) (bool, error) {
	window := x.slo.Window.Length.Duration()
	slack := min(max(window/100, 5*time.Minute), 6*time.Hour).Round(time.Minute)
	there := func(at Minute) (bool, error) { // where there is much, the first tells, and cheaply
		_, found, err := x.number(ctx, "count("+s.text()+")", at)
		if err == nil && !found {
			_, found, err = x.number(ctx, "count(last_over_time("+s.over(slack)+"))", at)
		}
		return found, err
	}
	begin := x.end.Add(slack - window)
	if found, err := there(begin); err != nil || found {
		return found, err
	}
	none, some := begin, x.end
	for some-none > 1 {
		mid := none + (some-none)/2
		found, err := there(mid)
		if err != nil {
			return false, err
		}
		if found {
			some = mid
		} else {
			none = mid
		}
	}
	_, older, err := x.number(ctx, "count(up)", begin)
	if err != nil && !refused(err) {
		return false, err
	}
	hint := "let the backend keep more than " + x.slo.Window.Length.String() + ", or take a shorter window"
	if older {
		hint = "other series go back further: if this service is new, no action is needed"
	}
	oldest := some.Time()
	x.concern(false, "window", hint, "the window is longer than what there is of %s: it begins about %s, %s ago",
		s.text(), oldest.Format("2006-01-02 15:04"), roughly(x.end.Time().Sub(oldest)))
	return false, nil
}

// roughly is a length of time in the largest unit of which it has two.
func roughly(d time.Duration) string {
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour} {
		if d >= 2*unit {
			return slo.Window(d.Round(unit)).String()
		}
	}
	return slo.Window(d.Round(time.Minute)).String()
}
