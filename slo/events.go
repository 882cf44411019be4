package slo

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// number is what gives a number of events: counters, or an expression that is
// evaluated.
type number struct {
	query   *query
	counter Counter
	rate    Rate // also of counters, for when the other number is none
}

func (n number) isZero() bool { return n.counter.IsZero() && n.rate.Query == "" }

// maxExcerpt is how much of a query a sentence shows, in bytes.
const maxExcerpt = 80

// excerpt is a part of the text of a query.
func (q *query) excerpt(start, end int) string {
	text := strings.Join(strings.Fields(q.text[start:min(end, len(q.text))]), " ")
	if len(text) > maxExcerpt {
		text = strings.ToValidUTF8(text[:maxExcerpt], "") + "..."
	}
	return text
}

// measured is numbers as counters, or as rates where one is no counter; they
// must keep the labels by then.
func measured(good, bad, total number, by []string) Measure {
	all := []number{good, bad, total}
	if slices.ContainsFunc(all, func(n number) bool { return n.counter.IsZero() && !n.isZero() }) {
		for _, n := range all {
			if !n.isZero() && n.query.expr != nil {
				n.query.keeps(n.query.expr, by)
			}
		}
		return Rates{Good: good.rate, Bad: bad.rate, Total: total.rate}
	}
	return Counters{Good: good.counter, Bad: bad.counter, Total: total.counter}
}

// The types of what numbers are selected by, beside counters.
const (
	counterType = "counter"
	deltaType   = "delta"
	rateType    = "rate"
)

func parseEvents(v yamlfile.Value, by []string) Indicator {
	m := v.Map("good", "bad", "total", "type")
	kind := oneOf(m.Get("type"), "type", counterType, deltaType, rateType)
	numbers := map[string]number{}
	for _, key := range []string{"good", "bad", "total"} {
		numbers[key] = parseNumber(m.Get(key), by, kind)
	}
	found := written(m, "good", "bad", "total")
	if mistyped := len(m.Entries) > len(written(m, "good", "bad", "total", "type")); v.IsMap() && !mistyped && len(found) != 2 {
		hint := ""
		if len(found) == 3 {
			hint = "leave one out; slowburn derives it from the others"
		}
		v.Errorf(hint, "events needs two of good, bad and total, found %s", counted(found))
	}
	for _, pair := range [][2]string{{"good", "bad"}, {"bad", "total"}, {"good", "total"}} {
		a, b := numbers[pair[0]], numbers[pair[1]]
		if !a.isZero() && !b.isZero() && same(a, b) {
			m.Get(pair[1]).Errorf(`one should select a part, such as code=~"5.."`, "%s and %s select the same series", pair[0], pair[1])
		}
	}
	checkParts(m, numbers)
	if kind == deltaType || kind == rateType {
		return Events{Increments{numbers["good"].counter, numbers["bad"].counter, numbers["total"].counter, kind == rateType}}
	}
	return Events{measured(numbers["good"], numbers["bad"], numbers["total"], by)}
}

func same(a, b number) bool {
	if a.counter.IsZero() || b.counter.IsZero() {
		return a.rate.Query == b.rate.Query
	}
	return a.counter.String() == b.counter.String()
}

// written are those of the keys that a mapping has.
func written(m yamlfile.Map, keys ...string) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return !m.Has(key) })
}

func counted(keys []string) string {
	switch len(keys) {
	case 0:
		return "none"
	case 1:
		return "only " + keys[0]
	}
	return "all three"
}

// counterName is what counters are called by convention; anything else is
// probably a gauge, whose increments mean nothing.
var counterName = regexp.MustCompile(`_(total|count|sum|bucket|created)$`)

// Names of gauges whose samples are numbers of events, and events per second.
var (
	cloudWatchName = regexp.MustCompile(`^aws_.+_(sum|sample_count)$`)
	rateName       = regexp.MustCompile(`(:|_)i?rate([0-9]+[smhdw])?$|_per_second$`)
)

// parseNumber reads a number of events: a bare selector, or an expression over
// $window. The labels by are those that its result must keep. The kind is the type
// that the file gives it, "" for none.
func parseNumber(v yamlfile.Value, by []string, kind string) number {
	q := parseQuery(v)
	if q == nil {
		return number{}
	}
	q.kind = kind
	switch {
	case kind == deltaType || kind == rateType:
		return q.gauges()
	case q.expr == nil:
		return q.metricsNumber()
	case len(q.variable) == 0:
		return q.bareCounter(by)
	}
	l := linear{query: q}
	if !l.add(q.expr, 1) {
		n := q.expressionNumber()
		at := l.obstacle.PositionRange()
		n.rate.Obstacle = q.excerpt(int(at.Start), int(at.End))
		return n
	}
	if l.rates > 0 && l.numbers > 0 {
		q.reportMixture(q.expr.PositionRange())
		return number{}
	}
	for _, t := range l.terms {
		if t.Weight == 0 || math.IsInf(t.Weight, 0) || math.IsNaN(t.Weight) {
			q.reportAt(q.expr.PositionRange(), "", "the expression counts "+t.Selector.String()+" "+fmt.Sprint(t.Weight)+" times")
			return number{}
		}
	}
	for _, s := range l.selectors {
		q.checkCounter(s)
	}
	n := number{query: q, counter: l.terms, rate: Rate{Query: q.inRange(), Factor: perNumber, Text: strings.TrimSpace(q.text)}}
	if l.rates > 0 {
		n.rate.Factor = perSecond
	}
	return n
}

// The factors from a value over two minutes to events in a slot of one.
const (
	perSecond = 60.0
	perNumber = 1.0 / 2
)

// gauges is a number of events by gauges of increments or rates: a selector, or a sum
// of selectors.
func (q *query) gauges() number {
	l := linear{query: q, gauges: true}
	switch {
	case q.expr == nil:
		q.reportParse(q.refusal)
		return number{}
	case len(q.variable) > 0:
		at := q.variable[0]
		q.at.ErrorInside(at, at+len(windowVariable), "write the selector itself", "each sample counts with type: "+q.kind+", and needs no $window")
		return number{}
	case !l.add(q.expr, 1):
		q.reportAt(l.obstacle.PositionRange(), "write a selector, or a sum of selectors", fmt.Sprintf("type: %s counts the samples of gauges, found %s", q.kind, describe(l.obstacle)))
		return number{}
	}
	for _, s := range l.selectors {
		checkMatchers(q.at, s)
	}
	return number{query: q, counter: l.terms}
}

// bareCounter is a number of events by the selector of counters alone.
func (q *query) bareCounter(by []string) number {
	s, selector := q.selector("counter")
	if s.IsZero() {
		return number{}
	}
	q.checkCounter(selector)
	sum := "sum"
	if len(by) > 0 {
		sum = "sum by (" + LabelList(by...) + ") "
	}
	return number{
		query: q, counter: NewCounter(s),
		rate: Rate{Query: sum + "(increase(" + s.String() + "[" + rateWindow.String() + "]))", Factor: perNumber, Text: s.String()},
	}
}

func (q *query) checkCounter(s *parser.VectorSelector) {
	checkMatchers(q.at, s)
	if q.kind == counterType { // as the file says
		return
	}
	switch n := NewSelector(s.LabelMatchers...).Name(); {
	case cloudWatchName.MatchString(n):
		q.reportWarning(s.PosRange, "write type: delta: each of its samples is the number of events since the one before", n+" looks like a gauge of CloudWatch, not like a counter")
	case rateName.MatchString(n):
		q.reportWarning(s.PosRange, "write type: rate where each of its samples is a number of events per second", n+" looks like a recorded rate, not like a counter")
	case classic(n) && !counterName.MatchString(n):
		q.reportWarning(s.PosRange, "names of counters end in _total or _count", n+" does not look like a counter")
	}
}

// rangeForm tells what a function over a range gives: events a second, or
// events over the range.
func rangeForm(name string) (factor float64, ok bool) {
	switch strings.ToLower(name) {
	case "rate", "irate", "deriv", "ideriv", "deriv_fast", "rate_prometheus", "rate_over_sum", "rollup_rate", "rollup_deriv":
		return perSecond, true
	case "increase", "delta", "changes", "resets", "count_over_time", "sum_over_time", "increase_pure", "increase_prometheus",
		"delta_prometheus", "changes_prometheus", "rollup_increase", "rollup_delta", "increases_over_time", "decreases_over_time",
		"count_eq_over_time", "count_ne_over_time", "count_gt_over_time", "count_le_over_time",
		"sum_eq_over_time", "sum_gt_over_time", "sum_le_over_time":
		return perNumber, true
	}
	return 0, false
}

// expressionNumber is a number of events by an expression of PromQL that is
// evaluated.
func (q *query) expressionNumber() number {
	if t := q.expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		q.reportAt(q.expr.PositionRange(), "write a function around it, as in increase(x[$window])", "expected a number of events, found "+parser.DocumentedType(t))
		return number{}
	}
	factor, ok := 0.0, true
	parser.Inspect(q.expr, func(n parser.Node, _ []parser.Node) error {
		call, is := n.(*parser.Call)
		if !is || !ok {
			return nil
		}
		for _, arg := range call.Args {
			if q.ranges[unwrapped(arg)] {
				factor, ok = q.form(call.Func.Name, factor, func(hint, message string) { q.reportAt(call.PosRange, hint, message) })
			}
		}
		return nil
	})
	if e, is := unwrapped(q.expr).(*parser.BinaryExpr); is && e.Op == parser.DIV && q.overWindow(e.LHS) && q.overWindow(e.RHS) {
		q.reportWarning(e.PositionRange(), "write what is above the line and what is below it as two numbers, such as bad and total", "the expression gives a ratio, not a number of events")
	}
	q.checkNumber()
	return q.evaluated(factor, ok)
}

// overWindow reports whether an expression has a range of $window.
func (q *query) overWindow(e parser.Expr) (is bool) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		is = is || q.ranges[n]
		return nil
	})
	return is
}

// form adds a function over $window to what the others give.
func (q *query) form(name string, before float64, report func(hint, message string)) (factor float64, ok bool) {
	factor, ok = rangeForm(name)
	switch {
	case !ok:
		report("rate, increase, changes, count_over_time, sum_over_time and others like them do", name+"() gives no number of events")
	case before != 0 && before != factor:
		report(mixtureHint, mixture)
		ok = false
	}
	return factor, ok
}

const (
	mixture     = "the expression mixes rates with numbers of events"
	mixtureHint = "write either rate() or increase() for all of it"
)

func (q *query) evaluated(factor float64, ok bool) number {
	if !ok || factor == 0 {
		return number{}
	}
	return number{query: q, rate: Rate{Query: q.inRange(), Factor: factor, Text: strings.TrimSpace(q.text)}}
}

// metricsNumber is a number of events by an expression of MetricsQL.
func (q *query) metricsNumber() number {
	if !q.rangesWritten("[$window]") {
		return number{}
	}
	if len(q.variable) == 0 {
		q.at.Errorf("write its range as [$window], so that slowburn can choose it", "expected a selector of a counter, or an expression over $window")
		return number{}
	}
	factor, ok := 0.0, true
	q.rollups(func(call *metricsql.FuncExpr, window string) {
		if !ok || window != q.standIn {
			return
		}
		report := func(hint, message string) {
			q.at.ErrorInside(q.place(call.Name), q.place(call.Name)+len(call.Name), hint, message)
		}
		if strings.HasPrefix(strings.ToLower(call.Name), "rollup_") && len(call.Args) < 2 {
			report(fmt.Sprintf(`write %s(x[$window], "avg")`, call.Name), call.Name+"() gives the least, the greatest and the average")
			ok = false
			return
		}
		factor, ok = q.form(call.Name, factor, report)
	})
	if ok && factor == 0 {
		q.at.Errorf("write a function around it, as in increase(x[$window])", "expected a number of events, found none over $window")
	}
	if ok && factor != 0 {
		q.warnMetricsQL()
	}
	n := q.evaluated(factor, ok)
	n.rate.Obstacle = q.excerpt(0, len(q.text))
	return n
}

// keeps reports labels of groups that an expression drops, as far as that can
// be seen.
func (q *query) keeps(e parser.Expr, by []string) {
	switch e := unwrapped(e).(type) {
	case *parser.UnaryExpr:
		q.keeps(e.Expr, by)
	case *parser.BinaryExpr:
		if e.VectorMatching == nil || !e.VectorMatching.On && e.VectorMatching.Card != parser.CardOneToMany {
			q.keeps(e.LHS, by)
		}
	case *parser.AggregateExpr:
		switch e.Op {
		case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO, parser.COUNT_VALUES:
			return // they keep labels, or make one
		}
		for _, label := range by {
			if slices.Contains(e.Grouping, label) == e.Without {
				q.reportAt(e.PosRange, fmt.Sprintf("write %s by (%s) (...)", e.Op, LabelList(by...)), "the expression drops the label "+label+" of group_by")
			}
		}
	}
}
