package expr

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
)

// Number is a source of a number of events: counters, or an expression that is
// evaluated.
type Number struct {
	query   *query
	Counter slo.Counter
	Rate    slo.Rate // also of counters, for when the other number is none
}

// IsZero reports whether there is no number: no counter and no expression.
func (n Number) IsZero() bool { return n.Counter.IsZero() && n.Rate.Query == "" }

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

// NewMeasure is numbers as counters, or as rates where one is no counter; they
// must keep the labels by then.
func NewMeasure(good, bad, total Number, by []string) slo.Measure {
	all := []Number{good, bad, total}
	if slices.ContainsFunc(all, func(n Number) bool { return n.Counter.IsZero() && !n.IsZero() }) {
		for _, n := range all {
			if !n.IsZero() && n.query.expr != nil {
				n.query.keeps(n.query.expr, by)
			}
		}
		return slo.Rates{Good: good.Rate, Bad: bad.Rate, Total: total.Rate}
	}
	return slo.Counters{Good: good.Counter, Bad: bad.Counter, Total: total.Counter}
}

// CounterName matches the names of counters by convention. Anything else is
// probably a gauge, whose increments mean nothing.
var CounterName = regexp.MustCompile(`_(total|count|sum|bucket|created)$`)

// Names of gauges whose samples are numbers of events, and events per second.
var (
	cloudWatchName = regexp.MustCompile(`^aws_.+_(sum|sample_count)$`)
	rateName       = regexp.MustCompile(`(:|_)i?rate([0-9]+[smhdw])?$|_per_second$`)
)

// ParseNumber reads a number of events: a bare selector, or an expression over
// $window. The labels by are those that its result must keep. The kind is the type
// that the file gives it, "" for none.
func ParseNumber(v yamlfile.Value, by []string, kind string) Number {
	q := parseQuery(v)
	if q == nil {
		return Number{}
	}
	q.kind = kind
	switch {
	case kind == slo.DeltaType || kind == slo.RateType:
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
		n.Rate.Obstacle = q.excerpt(int(at.Start), int(at.End))
		return n
	}
	if l.rates > 0 && l.numbers > 0 {
		q.reportAt(q.expr.PositionRange(), mixtureHint, mixture)
		return Number{}
	}
	for _, t := range l.terms {
		if t.Weight == 0 || math.IsInf(t.Weight, 0) || math.IsNaN(t.Weight) {
			q.reportAt(q.expr.PositionRange(), "", "the expression counts "+t.Selector.String()+" "+fmt.Sprint(t.Weight)+" times")
			return Number{}
		}
	}
	for _, s := range l.selectors {
		q.checkCounter(s)
	}
	n := Number{query: q, Counter: l.terms, Rate: slo.Rate{Query: q.inRange(), Factor: perNumber, Text: strings.TrimSpace(q.text)}}
	if l.rates > 0 {
		n.Rate.Factor = perSecond
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
func (q *query) gauges() Number {
	l := linear{query: q, gauges: true}
	switch {
	case q.expr == nil:
		q.reportParse(q.refusal)
		return Number{}
	case len(q.variable) > 0:
		at := q.variable[0]
		q.at.ErrorInside(at, at+len(WindowVariable), "write the selector itself", "each sample counts with type: "+q.kind+", and needs no $window")
		return Number{}
	case !l.add(q.expr, 1):
		q.reportAt(l.obstacle.PositionRange(), "write a selector, or a sum of selectors", fmt.Sprintf("type: %s counts the samples of gauges, found %s", q.kind, describe(l.obstacle)))
		return Number{}
	}
	for _, s := range l.selectors {
		checkMatchers(q.at, s)
	}
	return Number{query: q, Counter: l.terms}
}

// bareCounter is a number of events by the selector of counters alone.
func (q *query) bareCounter(by []string) Number {
	s, selector := q.selector("counter")
	if s.IsZero() {
		return Number{}
	}
	q.checkCounter(selector)
	sum := "sum"
	if len(by) > 0 {
		sum = "sum by (" + slo.LabelList(by...) + ") "
	}
	return Number{
		query: q, Counter: slo.NewCounter(s),
		Rate: slo.Rate{Query: sum + "(increase(" + s.String() + "[" + rateWindow.String() + "]))", Factor: perNumber, Text: s.String()},
	}
}

func (q *query) checkCounter(s *parser.VectorSelector) {
	checkMatchers(q.at, s)
	if q.kind == slo.CounterType { // by the file
		return
	}
	switch n := slo.NewSelector(s.LabelMatchers...).Name(); {
	case cloudWatchName.MatchString(n):
		q.reportWarning(s.PosRange, "write type: delta: each of its samples is the number of events since the one before", n+" looks like a gauge of CloudWatch, not like a counter")
	case rateName.MatchString(n):
		q.reportWarning(s.PosRange, "write type: rate where each of its samples is a number of events per second", n+" looks like a recorded rate, not like a counter")
	case slo.IsClassicName(n) && !CounterName.MatchString(n):
		q.reportWarning(s.PosRange, "names of counters end in _total or _count", n+" does not look like a counter")
	}
}

// rangeForm returns the form of the values of a function over a range: events a second, or
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
func (q *query) expressionNumber() Number {
	if t := q.expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		q.reportAt(q.expr.PositionRange(), "write a function around it, as in increase(x[$window])", "expected a number of events, found "+parser.DocumentedType(t))
		return Number{}
	}
	factor, ok := 0.0, true
	parser.Inspect(q.expr, func(n parser.Node, _ []parser.Node) error {
		call, is := n.(*parser.Call)
		if !is || !ok {
			return nil
		}
		for _, arg := range call.Args {
			if q.ranges[Unwrap(arg)] {
				factor, ok = q.form(call.Func.Name, factor, func(hint, message string) { q.reportAt(call.PosRange, hint, message) })
			}
		}
		return nil
	})
	if e, is := Unwrap(q.expr).(*parser.BinaryExpr); is && e.Op == parser.DIV && q.overWindow(e.LHS) && q.overWindow(e.RHS) {
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

func (q *query) evaluated(factor float64, ok bool) Number {
	if !ok || factor == 0 {
		return Number{}
	}
	return Number{query: q, Rate: slo.Rate{Query: q.inRange(), Factor: factor, Text: strings.TrimSpace(q.text)}}
}

// metricsNumber is a number of events by an expression of MetricsQL.
func (q *query) metricsNumber() Number {
	if !q.rangesWritten("[$window]") {
		return Number{}
	}
	if len(q.variable) == 0 {
		q.at.Errorf("write its range as [$window], so that slowburn can choose it", "expected a selector of a counter, or an expression over $window")
		return Number{}
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
	n.Rate.Obstacle = q.excerpt(0, len(q.text))
	return n
}

// keeps reports labels of groups that an expression drops, as far as that can
// be seen.
func (q *query) keeps(e parser.Expr, by []string) {
	switch e := Unwrap(e).(type) {
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
				q.reportAt(e.PosRange, fmt.Sprintf("write %s by (%s) (...)", e.Op, slo.LabelList(by...)), "the expression drops the label "+label+" of group_by")
			}
		}
	}
}

// HistogramSuffix matches the end of the names of a classic histogram's series.
var HistogramSuffix = regexp.MustCompile(`_(bucket|count|sum)$`)

// A number that can be counted but can't be meant is a warning, whose hint has a
// replacement.

// BucketHint is the hint of findings about buckets.
const BucketHint = "an SLO of latency counts the observations above a threshold"

// checkNumber warns of an expression that is evaluated and gives no number of events.
func (q *query) checkNumber() {
	parser.Inspect(q.expr, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.Call:
			if strings.HasPrefix(n.Func.Name, "histogram_quantile") {
				q.reportWarning(n.PosRange, BucketHint, n.Func.Name+"() gives a time, not a number of events")
			}
		case *parser.BinaryExpr:
			if n.ReturnBool {
				left := n.LHS.PositionRange()
				query := strings.ReplaceAll(q.text[left.Start:left.End], WindowVariable, "5m")
				q.reportWarning(n.PositionRange(), "an SLO of threshold counts minutes by comparing "+query+" with "+n.RHS.String(),
					"the comparison gives 0 or 1, not a number of events")
			}
		}
		return nil
	})
}

// repeatedDigit is a pattern that repeats a digit where any digits after it were
// meant.
var repeatedDigit = regexp.MustCompile(`^[1-9]\*$`)
