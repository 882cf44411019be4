package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// auditQuery is one query of audits.
type auditQuery struct {
	to       timeline.Minute
	way      history.AuditWay
	selector slo.Selector
	by       []string // labels in which the audits differ
	answer   history.Answer
}

// Run sends the queries of audits, each once, for up to a minute. It does not query series
// that another query includes. Audits that are not done then are due again.
func Run(ctx context.Context, b *history.Reader, due []Audit) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	type round struct {
		to  timeline.Minute
		way history.AuditWay
	}
	var order []round
	audits := map[round][]*Audit{}
	for i := range due {
		r := round{due[i].hour.To, due[i].way}
		if audits[r] == nil {
			order = append(order, r)
		}
		audits[r] = append(audits[r], &due[i])
	}
	for _, r := range order {
		queries := auditQueries(audits[r])
		for i := range queries {
			q := &queries[i]
			q.to, q.way = r.to, r.way
			q.answer.Series, q.answer.Err = sendAudit(ctx, b, q)
		}
		if ctx.Err() != nil {
			return
		}
		for _, a := range audits[r] {
			a.read(queries)
		}
	}
}

// auditQueries returns the queries of audits.
func auditQueries(audits []*Audit) []auditQuery {
	var all []plan.Query
	for _, a := range audits {
		all = append(all, a.queries...)
	}
	// Selectors with fewer matchers come first, because they may include the others.
	slices.SortStableFunc(all, func(a, b plan.Query) int { return len(a.Selector.Matchers()) - len(b.Selector.Matchers()) })
	var out []auditQuery
	for _, q := range all {
		i, more := including(out, q.Selector)
		if i < 0 {
			i, out = len(out), append(out, auditQuery{selector: q.Selector})
		}
		for _, m := range slices.Concat(more, q.Only) {
			if !slices.Contains(out[i].by, m.Name) {
				out[i].by = append(out[i].by, m.Name)
			}
		}
	}
	return out
}

// including returns the index of the first query that includes the series of a selector,
// and the matchers that select them there; -1 for none. Names and bounds of buckets must
// be equal, because sums of increases have no names, and a bound has several texts.
func including(all []auditQuery, s slo.Selector) (int, []*labels.Matcher) {
	for i := range all {
		more, ok := all[i].selector.More(s)
		if ok && !slices.ContainsFunc(more, func(m *labels.Matcher) bool {
			return m.Name == labels.BucketLabel || m.Name == model.MetricNameLabel
		}) {
			return i, more
		}
	}
	return -1, nil
}

// auditText returns a query of audits as PromQL.
func auditText(b *history.Reader, q *auditQuery) string {
	s, by := q.selector, ""
	if len(q.by) > 0 {
		by = "by (" + slo.LabelList(q.by...) + ") "
	}
	const length = time.Duration(history.AuditLength) * time.Minute
	switch q.way {
	case history.AuditTargets:
		names := slices.Clone(b.TargetLabels)
		for _, name := range q.by {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return fmt.Sprintf("sum %s(increase((sum by (%s) (%s))[%s:1m]))", by, slo.LabelList(names...), b.Deduplicate(s, s.String()), slo.Window(length))
	case history.AuditHistograms:
		return "sum " + by + "(increase(" + s.Range(length) + "))"
	case history.AuditSums: // without a sample at the beginning, which older backends include
		return "sum " + by + "(" + b.Deduplicate(s, "sum_over_time("+s.Range(length-time.Millisecond)+")") + ")"
	}
	return "sum " + by + "(" + b.Deduplicate(s, "increase("+s.Range(length)+")") + ")"
}

// sendAudit sends a query of audits.
func sendAudit(ctx context.Context, b *history.Reader, q *auditQuery) ([]counting.RawSeries, error) {
	if q.way == history.AuditHistograms {
		found, err := b.QueryRange(ctx, auditText(b, q), q.to, q.to, 1)
		return b.RawSeries(found), err
	}
	found, err := b.Query(ctx, auditText(b, q), q.to.Time())
	if err == nil && slices.ContainsFunc(found, func(v backend.Series) bool { return len(v.Samples) != 1 }) {
		err = errors.New("the answer to an audit is no vector of numbers")
	}
	return b.RawSeries(found), err
}

// read adds up the answers about an audit's counters.
func (a *Audit) read(queries []auditQuery) {
	a.Done = true
	native := a.Plan.Inputs[a.Part].Native
	for _, q := range a.queries {
		i, more := including(queries, q.Selector)
		answer := &queries[i].answer
		if answer.Err != nil {
			a.Err = answer.Err
			return
		}
		for row := range answer.Group(q.Only) {
			if !row.Matches(more) {
				continue
			}
			for _, h := range row.Histograms {
				good, _ := h.UpTo(native.Threshold)
				a.direct[0] += good
				a.direct[2] += h.Count
			}
			for _, s := range row.Samples {
				a.add(q, s.V)
			}
		}
	}
}

// add adds the events of a query.
func (a *Audit) add(q plan.Query, events float64) {
	if inc, ok := a.Plan.Inputs[a.Part].Indicator.Measure().(slo.Increments); ok && inc.PerSecond {
		events *= a.usual.Seconds()
	}
	for r, each := range counting.AllRoles {
		if q.Role&each != 0 {
			a.direct[r] += q.Weight * events
		}
	}
}
