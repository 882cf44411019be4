package evaluator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// auditWay is how a backend counts an hour itself; "" is not at all.
type auditWay string

const (
	byIncrease   auditWay = "increase"   // of each counter
	byTargets    auditWay = "targets"    // increase of the sums of each target's counters
	byHistograms auditWay = "histograms" // increase of native histograms
	bySums       auditWay = "sums"       // of gauges of increments
)

// function is the function of PromQL by which it counts.
func (w auditWay) function() string {
	if w == bySums {
		return "sum_over_time()"
	}
	return "increase()"
}

// auditWayOf is how a part is audited. What is evaluated is not: the backend would
// evaluate the same again.
func auditWayOf(m *meter, p *part) auditWay {
	switch a := p.accounts.(type) {
	case *aggregate:
		return byTargets
	case *increments:
		return bySums
	case *counter:
		switch {
		case a.interval() > maxScrape: // an hour has too few samples
			return ""
		case m.native == nil || !p.native:
			return byIncrease
		case !p.mixed:
			return byHistograms
		}
	}
	return ""
}

// auditQuery is what is asked of a backend for audits.
type auditQuery struct {
	to       Minute
	way      auditWay
	selector slo.Selector
	by       []string // labels that tell apart what the audits count
	answer   answered
}

// answerAll asks the queries of audits, each once: of series that are among others
// no more than those. Audits that have no answer when ctx ends stay undone.
func answerAll(ctx context.Context, b *reader, due []audit) {
	type round struct {
		to  Minute
		way auditWay
	}
	var order []round
	audits := map[round][]*audit{}
	for i := range due {
		at := round{due[i].hour.to, due[i].way}
		if audits[at] == nil {
			order = append(order, at)
		}
		audits[at] = append(audits[at], &due[i])
	}
	for _, at := range order {
		queries := auditQueries(audits[at])
		for i := range queries {
			q := &queries[i]
			q.to, q.way = at.to, at.way
			q.answer.series, q.answer.err = askAudit(ctx, b, q)
		}
		if ctx.Err() != nil {
			return
		}
		for _, a := range audits[at] {
			a.take(queries)
		}
	}
}

// auditQueries are the queries of audits.
func auditQueries(audits []*audit) []auditQuery {
	var all []query
	for _, a := range audits {
		all = append(all, a.queries...)
	}
	// What has fewer matchers comes first: it may hold the others.
	slices.SortStableFunc(all, func(a, b query) int { return len(a.selector.Matchers()) - len(b.selector.Matchers()) })
	var out []auditQuery
	for _, q := range all {
		i, more := holding(out, q.selector)
		if i < 0 {
			i, out = len(out), append(out, auditQuery{selector: q.selector})
		}
		for _, m := range slices.Concat(more, q.only) {
			if !slices.Contains(out[i].by, m.Name) {
				out[i].by = append(out[i].by, m.Name)
			}
		}
	}
	return out
}

// holding is the first audit query that holds the series of a selector, and what more
// they match; -1 for none. Names and bounds of buckets are not told apart: sums of
// increases have no names, and a bound has several texts.
func holding(all []auditQuery, s slo.Selector) (int, []*labels.Matcher) {
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

// auditText is a query of audits as PromQL.
func auditText(b *reader, q *auditQuery) string {
	s, by := q.selector, ""
	if len(q.by) > 0 {
		by = "by (" + slo.LabelList(q.by...) + ") "
	}
	const length = time.Duration(auditLength) * time.Minute
	switch q.way {
	case byTargets:
		names := slices.Clone(b.TargetLabels)
		for _, name := range q.by {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return fmt.Sprintf("sum %s(increase((sum by (%s) (%s))[%s:1m]))", by, slo.LabelList(names...), b.once(s, s.String()), slo.Window(length))
	case byHistograms:
		return "sum " + by + "(increase(" + s.Range(length) + "))"
	case bySums: // without a sample at the beginning, which older backends take in
		return "sum " + by + "(" + b.once(s, "sum_over_time("+s.Range(length-time.Millisecond)+")") + ")"
	}
	return "sum " + by + "(" + b.once(s, "increase("+s.Range(length)+")") + ")"
}

// askAudit asks a query of audits.
func askAudit(ctx context.Context, b *reader, q *auditQuery) ([]rawSeries, error) {
	if q.way == byHistograms {
		found, err := b.queryRange(ctx, auditText(b, q), q.to, q.to, 1)
		return b.rawSeries(found), err
	}
	found, err := b.query(ctx, auditText(b, q), q.to.Time())
	if err == nil && slices.ContainsFunc(found, func(v vector) bool { return len(v.samples) != 1 }) {
		err = errors.New("the answer to an audit is no vector of numbers")
	}
	return b.rawSeries(found), err
}

// take takes over what was answered about an audit's counters.
func (a *audit) take(queries []auditQuery) {
	a.done = true
	native := a.plan.meters[a.part].native
	for _, q := range a.queries {
		i, more := holding(queries, q.selector)
		answer := &queries[i].answer
		if answer.err != nil {
			a.err = answer.err
			return
		}
		for row := range answer.of(q.only) {
			if !row.matches(more) {
				continue
			}
			for _, h := range row.histograms {
				good, _ := h.upTo(native.Threshold)
				a.direct[0] += good
				a.direct[2] += h.count
			}
			for _, s := range row.samples {
				a.add(q, s.v)
			}
		}
	}
}

// add adds the events of a query.
func (a *audit) add(q query, events float64) {
	if inc, ok := a.plan.meters[a.part].indicator.Measure().(slo.Increments); ok && inc.PerSecond {
		events *= a.usual.Seconds()
	}
	for r, each := range allRoles {
		if q.role&each != 0 {
			a.direct[r] += q.weight * events
		}
	}
}
