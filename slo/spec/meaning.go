package spec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/expr"
)

// checkParts warns of numbers of events that are parts of histograms and don't count
// events: buckets of the fast ones as bad, all buckets at once, and sums of what was
// measured.
func checkParts(m yamlfile.Map, numbers map[string]expr.Number) {
	counted := func(suffix string) (n int) {
		for _, number := range numbers {
			for _, t := range number.Counter {
				if strings.HasSuffix(t.Selector.Name(), suffix) {
					n++
				}
			}
		}
		return n
	}
	all := len(numbers["good"].Counter) + len(numbers["bad"].Counter) + len(numbers["total"].Counter)
	for _, key := range []string{"good", "bad", "total"} {
		terms := numbers[key].Counter
		for _, t := range terms {
			name := t.Selector.Name()
			switch {
			case strings.HasSuffix(name, "_bucket"):
				checkBuckets(m.Get(key), key, t.Selector, terms)
			case strings.HasSuffix(name, "_sum") && counted("_sum") < all:
				m.Get(key).Warnf("write "+strings.TrimSuffix(name, "_sum")+"_count for their number; "+expr.BucketHint,
					"%s adds up what was measured, not how many events there were", name)
			}
		}
	}
}

// checkBuckets warns of buckets of a histogram that are no part of its observations.
func checkBuckets(v yamlfile.Value, key string, s slo.Selector, terms slo.Counter) {
	of := slices.DeleteFunc(slices.Clone(s.Matchers()), func(m *labels.Matcher) bool { return m.Name != labels.BucketLabel })
	bound, one := s.Bound()
	negative := slices.ContainsFunc(terms, func(t slo.Term) bool { return t.Weight < 0 })
	switch {
	case len(of) == 0:
		v.Warnf(`select one bucket, such as le="0.5", or le="+Inf" for all; `+expr.BucketHint,
			"%s without le counts each observation once for each bucket that holds it", s.Name())
	case !one:
		v.Warnf("select one bucket; "+expr.BucketHint,
			"%s with %s counts an observation several times: a bucket holds those of all below it", s.Name(), of[0])
	case key == "bad" && !negative && !math.IsInf(bound, 1):
		v.Warnf("write good instead of bad; "+expr.BucketHint,
			"bad selects the observations of at most %s, which are the fast ones", slo.BoundText(bound))
	}
}

// checkFilter warns of a query that has values only while they are as they should be,
// or only while they are not: the time without values is unknown.
func checkFilter(v yamlfile.Value) {
	q, err := expr.PromQL.ParseExpr(v.Text())
	if err != nil {
		return
	}
	e := expr.Unwrap(q)
	around := ""
	if a, ok := e.(*parser.AggregateExpr); ok && (a.Op == parser.COUNT || a.Op == parser.SUM) {
		around, e = a.Op.String(), expr.Unwrap(a.Expr)
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
	v.WarnInside(int(at.Start), int(at.End), fmt.Sprintf("write %s, and leave the comparison to op and value", b.LHS),
		fmt.Sprintf("the query has values only while they are %s %s: any other minute is unknown, not good or bad", b.Op, b.RHS))
}

// jobMetrics are metrics of kube-state-metrics that have a series for each Job, which
// is one run.
var jobMetrics = []string{
	"kube_job_complete", "kube_job_created", "kube_job_failed", "kube_job_status_completion_time", "kube_job_status_failed",
	"kube_job_status_start_time", "kube_job_status_succeeded",
}

// checkJobs warns of series of single runs where those of jobs are meant.
func checkJobs(v yamlfile.Value, instead string) {
	q, err := expr.PromQL.ParseExpr(strings.ReplaceAll(v.Text(), expr.WindowVariable, "5m"))
	if err != nil {
		return
	}
	e := expr.Unwrap(q)
	if call, ok := e.(*parser.Call); ok && len(call.Args) > 0 {
		e = expr.Unwrap(call.Args[0])
	}
	if s, ok := e.(*parser.VectorSelector); ok && slices.Contains(jobMetrics, slo.NewSelector(s.LabelMatchers...).Name()) {
		r := s.PosRange
		v.WarnInside(int(r.Start), int(r.End), instead, slo.NewSelector(s.LabelMatchers...).Name()+" has a series for each Job, which is one run, not one that goes on")
	}
}

// lastJob is a hint: queries for the time of the last success of Jobs.
const lastJob = `write max(kube_job_status_completion_time{...}), or kube_cronjob_status_last_successful_time{cronjob="..."}`

// checkSense warns of what can be read but was probably not meant.
func checkSense(v yamlfile.Value, f fields, s *slo.SLO) {
	if s.Objective == (slo.Objective{}) || s.Indicator == nil || s.Window.Length == 0 {
		return
	}
	at := f.get("objective")
	every, what := time.Minute, "minutes"
	switch m := s.Indicator.Measure().(type) {
	case slo.Levels:
	case slo.Runs:
		every, what = m.Every, "runs"
	default:
		every = 0
	}
	if s.Slice != nil {
		every, what = s.Slice.Length.Duration(), "slices"
	}
	if every > 0 {
		n := float64(s.Window.Length.Duration() / every)
		if allowed := s.Objective.Allowed(n); n == 0 {
			at.Warnf("make the window longer", "in most windows of %s no run is due: there is one each %s", s.Window, slo.Window(every))
		} else if allowed < 1 {
			at.Warnf("one bad one spends the whole budget; take a lower objective or a longer window",
				"objective %s allows %s bad of the %s %s of %s", s.Objective.Percent(),
				strconv.FormatFloat(allowed, 'g', 2, 64), strconv.FormatFloat(n, 'f', -1, 64), what, s.Window)
		}
	}
	if c, ok := s.Indicator.Measure().(slo.Counters); ok {
		checkPart(v, c)
	}
}

// checkPart warns of bad events that can't be among all events.
func checkPart(v yamlfile.Value, c slo.Counters) {
	total, ok := c.Total.Plain()
	part, isBad := c.Bad.Plain()
	if !isBad {
		part, _ = c.Good.Plain()
	}
	if !ok || part.IsZero() || part.Name() != total.Name() {
		return
	}
	all, named := map[string]*labels.Matcher{}, map[string]bool{}
	for _, b := range total.Matchers() {
		if b.Type == labels.MatchEqual {
			all[b.Name] = b
		}
	}
	for _, a := range part.Matchers() {
		named[a.Name] = true
		if b := all[a.Name]; b != nil && a.Name != labels.BucketLabel && a.Type == labels.MatchEqual && a.Value != b.Value {
			v.Warnf("total selects the good events and the bad ones", "what is counted has %s=%q, and total has %s=%q", a.Name, a.Value, b.Name, b.Value)
			return
		}
	}
	for _, b := range total.Matchers() {
		if !named[b.Name] {
			v.Warnf("select by "+b.Name+" in both or in none: what is counted is a part of all events", "total has %s, and what is counted has no %s", b, b.Name)
			return
		}
	}
}
