// Package inspect checks SLOs against a backend, for `slowburn check`: whether there are
// series, since when and how often, and whether their numbers can be trusted.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"golang.org/x/sync/errgroup"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/mismatch"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Options contains the readers, and the functions that depend on the alerting of SLOs.
type Options struct {
	Readers  []*history.Reader // of all backends
	ReaderOf func(*slo.SLO) *history.Reader
	Shortest func(*slo.SLO) slo.Window // the shortest window of its alerts
	Blind    func(s *slo.SLO, least time.Duration) []string
	End      timeline.Minute // the newest slot that should be complete
}

// SLOs checks SLOs against their backends: whether there are series for them, since when
// and how often, and their histograms and groups. Findings are in the order of the SLOs.
// An error concerns a whole backend.
func SLOs(ctx context.Context, slos []*slo.SLO, options Options) ([]slo.Finding, error) {
	findings := make([][]slo.Finding, len(slos))
	byReader := map[*history.Reader]*answers{}
	concurrency := 0
	for _, r := range options.Readers {
		byReader[r] = &answers{Reader: r}
		concurrency += r.MaxConcurrency
	}
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(concurrency)
	for i, s := range slos {
		workers.Go(func() error {
			x := inspector{Options: options, answers: byReader[options.ReaderOf(s)], slo: s, short: options.Shortest(s)}
			err := x.inspect(ctx)
			findings[i] = x.findings
			return err
		})
	}
	err := workers.Wait()
	return slices.Concat(findings...), err
}

// answers caches the answers of a backend, because SLOs share queries.
type answers struct {
	*history.Reader
	known sync.Map // functions that return the answer, by instant and query
}

// ask sends a query, once.
func (a *answers) ask(ctx context.Context, promql string, at timeline.Minute) ([]backend.Series, error) {
	answer, _ := a.known.LoadOrStore(fmt.Sprint(at, " ", promql), sync.OnceValues(func() ([]backend.Series, error) {
		return a.Query(ctx, promql, at.Time())
	}))
	return answer.(func() ([]backend.Series, error))()
}

// inspector checks one SLO.
type inspector struct {
	Options
	*answers
	err      error // of the first query that failed; until it is a finding, nothing is queried or found
	slo      *slo.SLO
	short    slo.Window // the shortest window of its alerts
	findings []slo.Finding
}

func (x *inspector) askAt(ctx context.Context, promql string, at timeline.Minute) (series []backend.Series) {
	if x.err == nil {
		series, x.err = x.answers.ask(ctx, promql, at)
	}
	return series
}

// ask returns the answer to a query at the end.
func (x *inspector) ask(ctx context.Context, promql string) []backend.Series {
	return x.askAt(ctx, promql, x.End)
}

// number returns the largest value of an answer at the end, and whether there is any.
func (x *inspector) number(ctx context.Context, promql string) (largest float64, found bool) {
	for _, v := range mismatch.NumbersOf(x.ask(ctx, promql)) {
		largest, found = max(largest, v), true
	}
	return largest, found
}

// concern adds a finding, unless a query failed that it may depend on.
func (x *inspector) concern(wrong bool, field, hint, format string, args ...any) {
	if x.err == nil {
		x.findings = append(x.findings, slo.Finding{SLO: x.slo, Field: field, Wrong: wrong, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// fault adds a finding that the evaluation of the SLO would refuse.
func (x *inspector) fault(field string, fault backend.MismatchError) {
	x.concern(true, field, fault.Hint, "%s", fault.Message)
}

// subject is a query of an SLO: for series, or for values of an expression.
type subject struct {
	plan.Query
	field   string
	counter bool
}

// ranged returns the subject over a length of time, as PromQL. It has values each 15
// minutes, or each 5 for less than a day.
func (s subject) ranged(d time.Duration) string {
	switch {
	case s.Way == plan.RawSamples:
		return s.Selector.Range(d)
	case d >= 24*time.Hour:
		return fmt.Sprintf("(%s)[%s:15m]", s.Expr, slo.Window(d))
	}
	return fmt.Sprintf("(%s)[%s:5m]", s.Expr, slo.Window(d))
}

// fieldFor returns the field of the SLO file for a role.
func (x *inspector) fieldFor(r counting.Role) string {
	return slo.FieldFor(x.slo.Indicator, r.Names()[0])
}

// inspect runs all checks. An error concerns the whole backend. A refused query is a
// finding.
func (x *inspector) inspect(ctx context.Context) error {
	if _, isJourney := x.slo.Indicator.Measure().(slo.Parts); isJourney {
		x.journey(ctx)
	} else {
		x.indicator(ctx)
	}
	x.trial(ctx)
	x.undecided(ctx)
	if x.err != nil {
		return fmt.Errorf("asking backend %s about %s: %w", x.Name, x.slo.ID(), x.err)
	}
	return nil
}

// indicator checks the queries of the indicator.
func (x *inspector) indicator(ctx context.Context) {
	var all []subject
	m := plan.NewInput(x.slo.Indicator)
	_, counters := x.slo.Indicator.Measure().(slo.Counters)
	x.estimated()
	for _, q := range m.Queries {
		all = append(all, subject{q, x.fieldFor(q.Role), counters})
	}
	if l, ok := x.slo.Indicator.(slo.Latency); ok {
		all = []subject{x.histogram(ctx, l)}
		if x.err != nil {
			x.refused("sli.latency.histogram")
			return
		}
	}
	lasting := true
	for _, s := range all {
		found := x.present(ctx, s)
		clock := found && s.Role&m.Clock() != 0
		if s.counter {
			x.bucket(ctx, s)
		}
		x.samples(ctx, s) // if an expression has no values, its range may be too short or samples late
		x.seldom(ctx, s)
		if clock && lasting {
			lasting = x.lasts(ctx, s)
		}
		if found {
			x.groups(ctx, s)
		}
		if clock && s.counter {
			x.twins(ctx, s)
			x.pushed(ctx, s)
		}
		if found && s.Role == counting.RoleTotal {
			x.values(ctx, s)
		}
		x.refused(s.field)
	}
	x.excess(ctx, m)
	x.refused(x.fieldFor(counting.RoleTotal))
}

// refused turns the error of a single query into a finding. One that concerns the whole
// backend stays.
func (x *inspector) refused(field string) {
	err := x.err
	if fault, ok := errors.AsType[backend.MismatchError](err); ok {
		x.err = nil
		x.fault(field, fault)
	} else if backend.Refused(err) || backend.TookLong(err) {
		x.err = nil
		x.concern(true, field, "", "the query fails: %s", err)
	}
}

// journey checks how far the parts of an SLO of several go back. The parts themselves are
// checked for the rest.
func (x *inspector) journey(ctx context.Context) {
	inputs, _ := plan.InputsOf(x.slo)
	for _, m := range inputs {
		queries := slices.DeleteFunc(slices.Clone(m.Queries), func(q plan.Query) bool { return q.Role&m.Clock() == 0 })
		if m.Native != nil {
			queries = append(queries, plan.Query{Selector: m.Native.Histogram}.Prepared())
		}
		for _, q := range queries {
			s := subject{Query: q, field: "worst_of"}
			if !x.exists(ctx, s) {
				x.err = nil // a finding of the part
			} else if !x.lasts(ctx, s) {
				x.refused(s.field)
				return
			}
		}
	}
}

func (x *inspector) exists(ctx context.Context, s subject) bool {
	return len(x.ask(ctx, "count("+s.Text()+")")) > 0
}

// present reports whether the subject has series now. If there were none for a day, that
// is a finding, except for counters of some of the events, which may begin with the first
// event.
func (x *inspector) present(ctx context.Context, s subject) bool {
	if x.exists(ctx, s) {
		return true
	}
	if _, recent := x.number(ctx, "count(last_over_time("+s.ranged(24*time.Hour)+"))"); recent {
		return false
	}
	if s.Way != plan.RawSamples {
		if s.Role&(counting.RoleGood|counting.RoleBad) == 0 || x.slo.Indicator.Kind() != "events" {
			x.concern(false, s.field, "", "the query had no values in the last 24 hours")
		}
	} else if why := x.absence(ctx, s); why != "" {
		x.concern(false, s.field, why, "no series matched %s in the last 24 hours", s.Selector)
	}
	return false
}

// absence returns why no series match a selector: there is no metric of the name, or none
// with one of the labels. It returns "" for some of the events if the labels exist and
// may get such values.
func (x *inspector) absence(ctx context.Context, s subject) string {
	var name *labels.Matcher
	for _, m := range s.Selector.Matchers() {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			name = m
		}
	}
	if name == nil {
		return "the selector names no metric"
	}
	exists := func(more ...*labels.Matcher) bool {
		return x.exists(ctx, subject{Query: plan.Query{Selector: slo.NewSelector(name).With(more...)}.Prepared()})
	}
	if !exists() {
		return "there are no series by the name " + name.Value + " now"
	}
	part := s.counter && s.Role != counting.RoleTotal
	for _, m := range s.Selector.Matchers() {
		if m == name {
			continue
		}
		if !exists(labels.MustNewMatcher(labels.MatchNotEqual, m.Name, "")) && !m.Matches("") {
			return fmt.Sprintf("no series of %s has a label %s", name.Value, m.Name)
		}
		if !part && !exists(m) {
			return fmt.Sprintf("there are series of %s, but none with %s", name.Value, m)
		}
	}
	if part {
		return x.unmatchable(ctx, s, name)
	}
	return "there are series of " + name.Value + ", but none with all these labels"
}

// perWindow is the number of samples of each series that a window should have.
const perWindow = 4

// samples checks how often samples come, of series that exist for an hour, and whether
// counters grow.
func (x *inspector) samples(ctx context.Context, s subject) {
	selectors := []slo.Selector{s.Selector}
	if s.Way == plan.SlotValues {
		if _, rates := x.slo.Indicator.Measure().(slo.Rates); !rates {
			return // a value is at most five minutes old
		}
		selectors = selectorsIn(s.Expr)
	}
	for _, selector := range selectors {
		if selector.Name() == "" {
			continue // functions drop the name, and without it series may be equal
		}
		each, found := x.cadence(ctx, selector, time.Hour)
		if !found {
			return
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
			x.grows(ctx, s, selector)
		}
		if s.counter {
			x.noCounter(ctx, s)
		}
	}
}

// tolerance is how much later than each minute samples may be on average, because some
// are missed.
const tolerance = 3 * time.Second

// selectorsIn returns the selectors over ranges in an expression. It finds none in
// MetricsQL.
func selectorsIn(expr string) []slo.Selector {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil
	}
	var out []slo.Selector
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if r, ok := n.(*parser.MatrixSelector); ok {
			if v, ok := r.VectorSelector.(*parser.VectorSelector); ok {
				out = append(out, slo.NewSelector(v.LabelMatchers...))
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b slo.Selector) int { return strings.Compare(a.String(), b.String()) })
	return slices.CompactFunc(out, func(a, b slo.Selector) bool { return a.String() == b.String() })
}

// groups checks the labels that split an SLO, and the number of groups.
func (x *inspector) groups(ctx context.Context, s subject) {
	g := x.slo.Groups
	if g == nil {
		return
	}
	rows := x.ask(ctx, fmt.Sprintf("count by (%s) (%s)", slo.LabelList(g.By...), s.Text()))
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
}

// lasts checks whether the subject goes back as far as the SLO's window, and finds the
// oldest data if it does not.
func (x *inspector) lasts(ctx context.Context, s subject) bool {
	window := x.slo.Window.Length.Duration()
	slack := min(max(window/100, 5*time.Minute), 6*time.Hour).Round(time.Minute)
	there := func(at timeline.Minute) bool { // with many series, the first query is cheap and enough
		return len(x.askAt(ctx, "count("+s.Text()+")", at)) > 0 || len(x.askAt(ctx, "count(last_over_time("+s.ranged(slack)+"))", at)) > 0
	}
	begin := x.End.Add(slack - window)
	if there(begin) {
		return true
	}
	some := begin + 1 + timeline.Minute(sort.Search(int(x.End-begin)-1, func(i int) bool { return there(begin + 1 + timeline.Minute(i)) }))
	if x.err != nil {
		return false
	}
	older := len(x.askAt(ctx, "count(up)", begin)) > 0
	if backend.Refused(x.err) {
		x.err = nil
	}
	hint := "let the backend keep more than " + x.slo.Window.Length.String() + ", or take a shorter window"
	if older {
		hint = "other series go back further: if this service is new, no action is needed"
	}
	oldest := some.Time()
	x.concern(false, "window", hint, "%s goes back only %s, to %s: less than the window of %s",
		s.Text(), roughly(x.End.Time().Sub(oldest)), oldest.Format("2006-01-02 15:04"), x.slo.Window.Length)
	return false
}

// roughly returns a length of time in the largest unit of which it has two.
func roughly(d time.Duration) string {
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour} {
		if d >= 2*unit {
			return slo.Window(d.Round(unit)).String()
		}
	}
	return slo.Window(max(d.Round(time.Minute), time.Minute)).String()
}
