package slo

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// What can be counted and can't mean what an SLO says is a warning, with what to
// write instead.

const bucketHint = "an SLO of latency counts the observations above a threshold"

// checkParts warns of numbers of events that are parts of histograms and don't count
// events: buckets of the fast ones as bad, all buckets at once, and sums of what was
// measured.
func checkParts(m yamlfile.Map, numbers map[string]number) {
	counted := func(suffix string) (n int) {
		for _, number := range numbers {
			for _, t := range number.counter {
				if strings.HasSuffix(t.Selector.Name(), suffix) {
					n++
				}
			}
		}
		return n
	}
	all := len(numbers["good"].counter) + len(numbers["bad"].counter) + len(numbers["total"].counter)
	for _, key := range []string{"good", "bad", "total"} {
		terms := numbers[key].counter
		for _, t := range terms {
			name := t.Selector.Name()
			switch {
			case strings.HasSuffix(name, "_bucket"):
				checkBuckets(m.Get(key), key, t.Selector, terms)
			case strings.HasSuffix(name, "_sum") && counted("_sum") < all:
				m.Get(key).Warnf("write "+strings.TrimSuffix(name, "_sum")+"_count for their number; "+bucketHint,
					"%s adds up what was measured, not how many events there were", name)
			}
		}
	}
}

// checkBuckets warns of buckets of a histogram that are no part of its observations.
func checkBuckets(v yamlfile.Value, key string, s Selector, terms Counter) {
	of := slices.DeleteFunc(slices.Clone(s.Matchers()), func(m *labels.Matcher) bool { return m.Name != labels.BucketLabel })
	bound, one := s.Bound()
	negative := slices.ContainsFunc(terms, func(t Term) bool { return t.Weight < 0 })
	switch {
	case len(of) == 0:
		v.Warnf(`select one bucket, such as le="0.5", or le="+Inf" for all; `+bucketHint,
			"%s without le counts each observation once for each bucket that holds it", s.Name())
	case !one:
		v.Warnf("select one bucket; "+bucketHint,
			"%s with %s counts an observation several times: a bucket holds those of all below it", s.Name(), of[0])
	case key == "bad" && !negative && !math.IsInf(bound, 1):
		v.Warnf("write good instead of bad; "+bucketHint,
			"bad selects the observations of at most %s, which are the fast ones", BoundText(bound))
	}
}

// checkNumber warns of an expression that is evaluated and gives no number of events.
func (q *query) checkNumber() {
	parser.Inspect(q.expr, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.Call:
			if strings.HasPrefix(n.Func.Name, "histogram_quantile") {
				q.reportWarning(n.PosRange, bucketHint, n.Func.Name+"() gives a time, not a number of events")
			}
		case *parser.BinaryExpr:
			if n.ReturnBool {
				left := n.LHS.PositionRange()
				query := strings.ReplaceAll(q.text[left.Start:left.End], windowVariable, "5m")
				q.reportWarning(n.PositionRange(), "an SLO of threshold counts minutes by a comparison: "+thresholdOf(query, opposites[n.Op], n.RHS),
					"the comparison gives 0 or 1, not a number of events")
			}
		}
		return nil
	})
}

// opposites are the comparisons that hold where another does not.
var opposites = map[parser.ItemType]parser.ItemType{
	parser.LSS: parser.GTE, parser.GTE: parser.LSS, parser.GTR: parser.LTE, parser.LTE: parser.GTR, parser.EQLC: parser.NEQ, parser.NEQ: parser.EQLC,
}

// thresholdOf is a comparison as the fields of an SLO of threshold.
func thresholdOf(query string, op parser.ItemType, value parser.Expr) string {
	return fmt.Sprintf("{query: '%s', op: %q, value: %s}", query, op.String(), value)
}

// checkFilter warns of a query that has values only while they are as they should be,
// or only while they are not: the time without values is unknown.
func checkFilter(v yamlfile.Value, t Threshold) {
	q, err := promQL.ParseExpr(v.Text())
	if err != nil {
		return
	}
	e := unwrapped(q)
	around := ""
	if a, ok := e.(*parser.AggregateExpr); ok && (a.Op == parser.COUNT || a.Op == parser.SUM) {
		around, e = a.Op.String(), unwrapped(a.Expr)
	}
	b, ok := e.(*parser.BinaryExpr)
	if !ok || !b.Op.IsComparisonOperator() || b.ReturnBool || b.LHS.Type() == parser.ValueTypeScalar && b.RHS.Type() == parser.ValueTypeScalar {
		return
	}
	at := q.PositionRange()
	if around != "" {
		v.WarnInside(int(at.Start), int(at.End), fmt.Sprintf("write sum(%s %s bool %s), or add: or vector(0)", b.LHS, b.Op, b.RHS),
			fmt.Sprintf("%s() has no value while nothing is %s %s: such a minute is unknown, not good or bad", around, b.Op, b.RHS))
		return
	}
	op := b.Op
	if !takes(t, b) {
		op = opposites[op]
	}
	v.WarnInside(int(at.Start), int(at.End), "leave the comparison to op and value: "+thresholdOf(b.LHS.String(), op, b.RHS),
		fmt.Sprintf("the query has values only while they are %s %s: any other minute is unknown, not good or bad", b.Op, b.RHS))
}

// takes reports whether some of the values that a comparison lets pass are good.
func takes(t Threshold, filter *parser.BinaryExpr) bool {
	limit, ok := constant(filter.RHS)
	if !ok || t.Op == "" {
		return true
	}
	passes := Threshold{Op: filter.Op.String(), Value: limit}.Good()
	good := t.Good()
	return slices.ContainsFunc([]float64{limit - 1, limit, limit + 1}, func(v float64) bool { return passes(v) && good(v) })
}

// jobMetrics are metrics of kube-state-metrics that have a series for each Job, which
// is one run.
var jobMetrics = []string{
	"kube_job_complete", "kube_job_created", "kube_job_failed", "kube_job_status_completion_time", "kube_job_status_failed",
	"kube_job_status_start_time", "kube_job_status_succeeded",
}

// checkJobs warns of series of single runs where those of jobs are meant.
func checkJobs(v yamlfile.Value, instead string) {
	q, err := promQL.ParseExpr(strings.ReplaceAll(v.Text(), windowVariable, "5m"))
	if err != nil {
		return
	}
	e := unwrapped(q)
	if call, ok := e.(*parser.Call); ok && len(call.Args) > 0 {
		e = unwrapped(call.Args[0])
	}
	if s, ok := e.(*parser.VectorSelector); ok && slices.Contains(jobMetrics, NewSelector(s.LabelMatchers...).Name()) {
		r := s.PosRange
		v.WarnInside(int(r.Start), int(r.End), instead, NewSelector(s.LabelMatchers...).Name()+" has a series for each Job, which is one run, not one that goes on")
	}
}

// lastJob is what to write for the time of the last success of Jobs.
const lastJob = `write max(kube_job_status_completion_time{...}), or kube_cronjob_status_last_successful_time{cronjob="..."}`

// repeatedDigit is a pattern that repeats a digit where any digits after it were
// meant.
var repeatedDigit = regexp.MustCompile(`^[1-9]\*$`)
