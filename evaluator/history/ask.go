package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// round contains the answers of one round of queries, for all Reads in it.
type round struct {
	from, to timeline.Minute
	step     timeline.Minute // between the slots of queried values: 1, unless those between are known
	answers  []Answer
	sizes    map[string]map[uint64][]backend.Sample // of sums, by the text of the query and the series
	starts   newStarts                              // of the slots that it settles
}

// Answer is the answer to one query of a round.
type Answer struct {
	query   plan.Query           // as it was sent; its role has no meaning
	Series  []counting.RawSeries // without roles
	Err     error                // the backend works but refuses this query
	byGroup map[string]map[string][]int
}

// read sends queries, each once, about (from, to]; for values at each step. An error
// concerns the whole backend, or a range that is too long.
func (b *Reader) read(ctx context.Context, queries []plan.Query, from, to, step timeline.Minute) (*round, error) {
	r := &round{from: from, to: to, step: step, sizes: map[string]map[uint64][]backend.Sample{}, starts: newStarts{starts: counting.Starts{}, used: map[string]bool{}}}
	for _, s := range widest(rawSelectors(queries)) {
		answer, err := b.Samples(ctx, s, from, to)
		if err := r.add(plan.Query{Selector: s}.Prepared(), b.RawSeries(counting.DropImpossible(answer)), err); err != nil {
			return nil, err
		}
	}
	for _, q := range distinctQueries(queries) {
		var series []counting.RawSeries
		var err error
		switch q.Way {
		case plan.RawSamples:
			continue
		case plan.TargetSums:
			series, err = b.perTarget(ctx, "sum", q, r)
		case plan.SlotValues:
			var answer []backend.Series
			answer, err = b.values(ctx, q, from+1, to, r.step)
			for _, v := range answer { // the values of several queries have the same labels
				v.Labels[model.MetricNameLabel] += "\xff" + q.Expr
			}
			series = b.RawSeries(answer)
		}
		if err := r.add(q, series, err); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// distinctQueries returns queries without those that are sent in the same way.
func distinctQueries(queries []plan.Query) []plan.Query {
	type identity struct {
		way      plan.Way
		text, by string
	}
	seen := map[identity]bool{}
	var out []plan.Query
	for _, q := range queries {
		if id := (identity{q.Way, q.Text(), strings.Join(q.By, ",")}); !seen[id] {
			seen[id] = true
			out = append(out, q)
		}
	}
	return out
}

// rawSelectors returns the selectors whose raw samples are read, each once: that of all
// groups of an SLO, or of the only group.
func rawSelectors(queries []plan.Query) []slo.Selector {
	var out []slo.Selector
	var first []plan.Query // with these
	at := map[string]int{} // index of a text
	for _, q := range queries {
		if q.Way != plan.RawSamples {
			continue
		}
		i, asked := at[q.Text()]
		switch {
		case !asked:
			at[q.Text()] = len(out)
			out, first = append(out, q.Own), append(first, q)
		case !slices.EqualFunc(q.Only, first[i].Only, func(x, y *labels.Matcher) bool { return x.Name == y.Name && x.Value == y.Value }):
			out[i] = q.Selector
		}
	}
	return out
}

// widest returns the selectors whose series are not selected by another one.
func widest(all []slo.Selector) []slo.Selector {
	// Selectors with fewer matchers come first, because they may include the others.
	slices.SortStableFunc(all, func(a, b slo.Selector) int { return len(a.Matchers()) - len(b.Matchers()) })
	var out []slo.Selector
	for _, s := range all {
		if !slices.ContainsFunc(out, func(o slo.Selector) bool { _, ok := o.More(s); return ok }) {
			out = append(out, s)
		}
	}
	return out
}

// unanswered is the error of a query, which ends all Reads in the round.
type unanswered struct {
	query string
	cause error
}

func (e *unanswered) Error() string { return "querying " + e.query + ": " + e.cause.Error() }

func (e *unanswered) Unwrap() error { return e.cause }

// OwnError returns an error of a round for one plan. It names a query of the plan.
func OwnError(p *plan.Plan, err error) error {
	u, ok := errors.AsType[*unanswered](err)
	if !ok {
		return err
	}
	var own []string
	for _, m := range p.Inputs {
		for _, q := range m.Queries {
			own = append(own, q.Text())
		}
	}
	if slices.Contains(own, u.query) {
		return err
	}
	return &unanswered{own[0], u.cause}
}

// add stores an answer. An error that concerns only this query ends only the Reads that
// need it.
func (r *round) add(q plan.Query, series []counting.RawSeries, err error) error {
	if s := counting.FindDuplicate(series); err == nil && s != nil {
		err = backend.MalformedError("the answer has the series " + backend.Shown(s.Labels.String()) + " twice")
	}
	if err != nil && (!backend.Refused(err) || backend.TooMuch(err, r.to-r.from)) {
		return &unanswered{q.Text(), err}
	}
	r.answers = append(r.answers, Answer{query: q, Series: series, Err: err})
	return nil
}

// histogramSamples is the number of samples that a sample of a native histogram counts
// as.
const histogramSamples = 10

// samples returns the number of samples in the batch.
func (r *round) samples() int {
	n := 0
	for _, a := range r.answers {
		for _, s := range a.Series {
			n += len(s.Samples) + histogramSamples*len(s.Histograms)
		}
	}
	return n
}

// RawSeries returns the series of an answer, without their replica labels.
func (b *Reader) RawSeries(answer []backend.Series) []counting.RawSeries {
	out := make([]counting.RawSeries, 0, len(answer))
	for _, v := range answer {
		replica := valuesOf(v.Labels, b.ReplicaLabels)
		for _, name := range b.ReplicaLabels {
			delete(v.Labels, name)
		}
		le := counting.NormalizeBound(v.Labels)
		s := counting.RawSeries{Labels: labels.FromMap(v.Labels), Le: le, Target: valuesOf(v.Labels, b.TargetLabels), Replica: replica, Samples: v.Samples, NaNs: v.NaNs, Histograms: v.Histograms, Refused: v.Refused}
		if v.Refused.T != 0 {
			b.Metrics.refused.WithLabelValues(b.Name).Inc()
		}
		s.Key, s.Pair = s.Labels.Hash(), counting.PairKey(s.Labels)
		out = append(out, s)
	}
	return out
}

func valuesOf(lbls map[string]string, names []string) string {
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = lbls[name]
	}
	return strings.Join(values, "\xff")
}

// series returns the series of queries, with their roles. A series of two queries has
// both roles.
func (r *round) series(queries []plan.Query) ([]counting.RawSeries, error) {
	var out []counting.RawSeries
	type identity struct {
		key         uint64
		replica, le string
	}
	byKey := map[identity]int{}
	respelled := false
	for _, q := range queries {
		answer, more := r.find(q)
		if answer.Err != nil { // other queries may share this answer
			if i := slices.IndexFunc(queries, func(o plan.Query) bool { return o.OwnText() == answer.query.Text() }); i >= 0 {
				q = queries[i]
			}
			return nil, fmt.Errorf("querying %s: %w", q.OwnText(), answer.Err)
		}
		for s := range answer.Group(q.Only) {
			if !s.Matches(more) {
				continue
			}
			respelled = respelled || s.Le != ""
			id := identity{s.Key, s.Replica, s.Le}
			i, ok := byKey[id]
			if !ok {
				i = len(out)
				byKey[id] = i
				out = append(out, *s)
			}
			out[i].Count(q.Role, q.Weight)
		}
	}
	if respelled {
		out = counting.MergeSpellings(out)
	}
	return out, nil
}

// find returns the answer that contains a query's series, and the matchers that select
// them there.
func (r *round) find(q plan.Query) (*Answer, []*labels.Matcher) {
	for i := range r.answers {
		a := &r.answers[i]
		if a.query.Way != q.Way {
			continue
		}
		if q.Way != plan.RawSamples {
			if a.query.Text() == q.Text() && slices.Equal(a.query.By, q.By) {
				return a, q.Only
			}
			continue
		}
		if more, ok := a.query.Selector.More(q.Own); ok {
			return a, more
		}
	}
	panic("evaluator: a query was not asked: " + q.Text())
}

// Group returns the series of a group, or all of them for an empty group.
func (a *Answer) Group(group []*labels.Matcher) iter.Seq[*counting.RawSeries] {
	return func(yield func(*counting.RawSeries) bool) {
		if len(group) == 0 {
			for i := range a.Series {
				if !yield(&a.Series[i]) {
					return
				}
			}
			return
		}
		var names, values []string
		for _, m := range group {
			names, values = append(names, m.Name), append(values, m.Value)
		}
		for _, i := range a.index(names)[strings.Join(values, "\xff")] {
			if !yield(&a.Series[i]) {
				return
			}
		}
	}
}

// index returns the indexes of series by their values of labels.
func (a *Answer) index(names []string) map[string][]int {
	key := strings.Join(names, "\xff")
	if a.byGroup[key] == nil {
		index := map[string][]int{}
		for i := range a.Series {
			values := make([]string, len(names))
			for j, name := range names {
				values[j] = a.Series[i].Labels.Get(name)
			}
			at := strings.Join(values, "\xff")
			index[at] = append(index[at], i)
		}
		if a.byGroup == nil {
			a.byGroup = map[string]map[string][]int{}
		}
		a.byGroup[key] = index
	}
	return a.byGroup[key]
}
