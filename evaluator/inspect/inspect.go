package inspect

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

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Options say where SLOs are inspected, and how.
type Options struct {
	Readers  []*history.Reader // of all backends
	ReaderOf func(*slo.SLO) *history.Reader
	Shortest func(*slo.SLO) slo.Window // of the windows that alerts look at
	Blind    func(s *slo.SLO, least time.Duration) []string
	End      timeline.Minute // the newest slot that should be complete
}

// SLOs asks the backends whether SLOs make sense there: whether there are series for
// them, for how long and how often; and what their histograms and groups are. The
// findings are in the order of the SLOs. The error is one of a whole backend.
func SLOs(ctx context.Context, slos []*slo.SLO, o Options) ([]slo.Finding, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	findings := make([][]slo.Finding, len(slos))
	asked := map[*history.Reader]*answers{}
	for _, r := range o.Readers {
		asked[r] = &answers{Reader: r, known: map[string]answer{}}
	}
	places, workers := make(chan int), sync.WaitGroup{}
	for _, r := range o.Readers {
		for range r.MaxConcurrency {
			workers.Go(func() {
				for i := range places {
					x := inspector{answers: asked[o.ReaderOf(slos[i])], slo: slos[i], end: o.End, short: o.Shortest(slos[i]), blind: o.Blind}
					if err := x.inspect(ctx); err != nil {
						cancel(err)
					}
					findings[i] = x.findings
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
	return slices.Concat(findings...), nil
}

// answers are what a backend said, for SLOs that ask the same.
type answers struct {
	*history.Reader
	mu    sync.Mutex
	known map[string]answer
}

// answer is what a query was answered.
type answer struct {
	series []backend.Series
	err    error
}

// ask sends a query, once.
func (a *answers) ask(ctx context.Context, promql string, at timeline.Minute) ([]backend.Series, error) {
	key := fmt.Sprint(at, " ", promql)
	a.mu.Lock()
	known, ok := a.known[key]
	a.mu.Unlock()
	if !ok {
		known.series, known.err = a.Query(ctx, promql, at.Time())
		a.mu.Lock()
		a.known[key] = known
		a.mu.Unlock()
	}
	return known.series, known.err
}

// number is the largest value of an answer, and whether there is any.
func (a *answers) number(ctx context.Context, promql string, at timeline.Minute) (float64, bool, error) {
	series, err := a.ask(ctx, promql, at)
	largest, found := 0.0, false
	for _, v := range series {
		for _, s := range v.Samples {
			largest, found = max(largest, s.V), true
		}
	}
	return largest, found, err
}

// inspector asks about one SLO.
type inspector struct {
	*answers
	slo      *slo.SLO
	end      timeline.Minute
	short    slo.Window // the shortest that alerts look at
	blind    func(s *slo.SLO, least time.Duration) []string
	findings []slo.Finding
}

func (x *inspector) concern(wrong bool, field, hint, format string, args ...any) {
	x.findings = append(x.findings, slo.Finding{SLO: x.slo, Field: field, Wrong: wrong, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// fault is a concern about what the evaluation of the SLO refuses.
func (x *inspector) fault(field string, fault backend.MismatchError) {
	x.concern(true, field, fault.Hint, "%s", fault.Message)
}

// subject is something that an SLO is about: series, or values of an expression.
type subject struct {
	plan.Query
	field   string
	counter bool
}

// over is the subject over a length of time, as PromQL. Values are looked at
// every 15 minutes, for less than a day every 5.
func (s subject) over(d time.Duration) string {
	switch {
	case s.Way == plan.RawSamples:
		return s.Selector.Range(d)
	case d >= 24*time.Hour:
		return fmt.Sprintf("(%s)[%s:15m]", s.Expr, slo.Window(d))
	}
	return fmt.Sprintf("(%s)[%s:5m]", s.Expr, slo.Window(d))
}

// fieldOf is the place in an SLO file of what an indicator asks for in a role.
func fieldOf(i slo.Indicator, r counting.Role) string {
	kind := i.Kind()
	names := map[string][3]string{
		"events": {"good", "bad", "total"}, "runs": {"succeeded", "failed", "last_success"}, "latency": {"histogram", "histogram", "histogram"},
		"probe": {"", "", "metric"}, "threshold": {"", "", "query"}, "freshness": {"", "", "timestamp"},
	}[kind]
	for n, each := range counting.AllRoles {
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
	m := plan.NewInput(x.slo.Indicator)
	_, counters := x.slo.Indicator.Measure().(slo.Counters)
	x.estimated()
	for _, q := range m.Queries {
		all = append(all, subject{q, fieldOf(x.slo.Indicator, q.Role), counters})
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
		if err == nil && found && s.Role&m.Clock() != 0 && lasting {
			lasting, err = x.lasts(ctx, s)
		}
		if err == nil && found {
			err = x.groups(ctx, s)
		}
		if err == nil && found && s.counter && s.Role&m.Clock() != 0 {
			if err = x.twins(ctx, s); err == nil {
				err = x.pushed(ctx, s)
			}
		}
		if err == nil && found && s.Role == counting.RoleTotal {
			err = x.values(ctx, s)
		}
		if err := x.told(err, s.field); err != nil {
			return err
		}
	}
	return x.told(x.excess(ctx, m), fieldOf(x.slo.Indicator, counting.RoleTotal))
}

// told makes a concern of an error that speaks of a query alone.
func (x *inspector) told(err error, field string) error {
	var fault backend.MismatchError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault):
		x.fault(field, fault)
		return nil
	case backend.Refused(err) || backend.TookLong(err):
		x.concern(true, field, "", "the query fails: %s", err)
		return nil
	}
	return fmt.Errorf("asking backend %s about %s: %w", x.Name, x.slo.ID(), err)
}

// journey asks how long the parts of an SLO of others go back. All else is asked
// for the parts themselves.
func (x *inspector) journey(ctx context.Context) error {
	meters, _ := plan.InputsOf(x.slo)
	for _, m := range meters {
		queries := slices.DeleteFunc(slices.Clone(m.Queries), func(q plan.Query) bool { return q.Role&m.Clock() == 0 })
		if m.Native != nil {
			queries = append(queries, plan.Query{Selector: m.Native.Histogram}.Prepared())
		}
		for _, q := range queries {
			s := subject{Query: q, field: "worst_of"}
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
	_, found, err := x.number(ctx, "count("+s.Text()+")", x.end)
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
	if s.Way != plan.RawSamples {
		if s.Role&(counting.RoleGood|counting.RoleBad) == 0 || x.slo.Indicator.Kind() != "events" {
			x.concern(false, s.field, "", "the query has no values now, and had none for a day")
		}
		return false, nil
	}
	why, err := x.absence(ctx, s)
	if err == nil && why != "" {
		x.concern(false, s.field, why, "no series match %s, now or in the last day", s.Selector)
	}
	return false, err
}

// absence tells why no series match a selector: none has the name, or none of
// the name has one of the labels. It is "" for a part of the events whose labels
// are there and may have its values.
func (x *inspector) absence(ctx context.Context, s subject) (string, error) {
	var name *labels.Matcher
	for _, m := range s.Selector.Matchers() {
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
	part := s.counter && s.Role != counting.RoleTotal
	for _, m := range s.Selector.Matchers() {
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
	selectors := []slo.Selector{s.Selector}
	if s.Way == plan.SlotValues {
		if _, rates := x.slo.Indicator.Measure().(slo.Rates); !rates {
			return nil // a value is one of the last five minutes
		}
		selectors = selectorsIn(s.Expr)
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
		case s.Way == plan.SlotValues && each > time.Minute+tolerance:
			x.concern(false, s.field, "a range of 2m needs two samples; scrape once a minute, or count by rate() and increase() of selectors",
				"samples of %s come every %s, too seldom for an expression that is evaluated", selector, model.Duration(each))
		case s.Way == plan.RawSamples && each > limit+limit/20 && each <= counting.MaxScrape*time.Millisecond:
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
	rows, err := x.ask(ctx, fmt.Sprintf("count by (%s) (%s)", slo.LabelList(g.By...), s.Text()), x.end)
	if err != nil {
		return err
	}
	whole := 0
	has := map[string]bool{}
	for _, row := range rows {
		all := true
		for _, name := range g.By {
			has[name] = has[name] || row.Labels[name] != ""
			all = all && row.Labels[name] != ""
		}
		if all {
			whole++
		}
	}
	for _, name := range g.By {
		if !has[name] && len(rows) > 0 {
			x.concern(true, "group_by", "", "no series of %s has the label %s", s.Text(), name)
		}
	}
	if whole > g.Limit {
		x.concern(false, "group_by", "raise groups.limit, or split by fewer labels",
			"%s has %d groups and a limit of %d; the others are not followed one by one", s.Text(), whole, g.Limit)
	}
	return nil
}

// lasts asks whether there is something for as long as the SLO's window, and
// finds the oldest where there is not.
func (x *inspector) lasts(ctx context.Context, s subject) (bool, error) {
	window := x.slo.Window.Length.Duration()
	slack := min(max(window/100, 5*time.Minute), 6*time.Hour).Round(time.Minute)
	there := func(at timeline.Minute) (bool, error) { // where there is much, the first tells, and cheaply
		_, found, err := x.number(ctx, "count("+s.Text()+")", at)
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
	if err != nil && !backend.Refused(err) {
		return false, err
	}
	hint := "let the backend keep more than " + x.slo.Window.Length.String() + ", or take a shorter window"
	if older {
		hint = "other series go back further: if this service is new, no action is needed"
	}
	oldest := some.Time()
	x.concern(false, "window", hint, "the window is longer than what there is of %s: it begins about %s, %s ago",
		s.Text(), oldest.Format("2006-01-02 15:04"), roughly(x.end.Time().Sub(oldest)))
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
