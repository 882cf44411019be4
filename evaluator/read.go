package evaluator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// query is a counter's selector and what its increments count.
type query struct {
	role     role
	selector slo.Selector
}

// queriesOf are the counters of an indicator.
func queriesOf(c slo.Counters) []query {
	var out []query
	for _, counted := range []struct {
		role    role
		counter slo.Counter
	}{{roleGood, c.Good}, {roleBad, c.Bad}, {roleTotal, c.Total}} {
		for _, t := range counted.counter {
			out = append(out, query{counted.role, t.Selector})
		}
	}
	return out
}

// reading is what one round of queries brought, for all who count in it.
type reading struct {
	from, to Minute
	summed   bool // answers hold no single counters, so none has a part of another's
	answers  []answered
}

type answered struct {
	selector slo.Selector
	series   []rawSeries // without roles
	err      error       // the backend is well but refuses this query
}

// readFunc reads the counters of queries in (from, to]. The error is one of the
// whole backend, or says that a shorter range should be asked for.
type readFunc func(ctx context.Context, queries []query, from, to Minute) (*reading, error)

// distinct are the selectors of queries, each once.
func distinct(queries []query) []slo.Selector {
	seen := map[string]bool{}
	var out []slo.Selector
	for _, q := range queries {
		if !seen[q.selector.String()] {
			seen[q.selector.String()] = true
			out = append(out, q.selector)
		}
	}
	return out
}

// largest are the selectors whose series are not among another's.
func largest(all []slo.Selector) []slo.Selector {
	// What has fewer matchers comes first: it may hold the others.
	slices.SortStableFunc(all, func(a, b slo.Selector) int { return len(a.Matchers()) - len(b.Matchers()) })
	var out []slo.Selector
	for _, s := range all {
		if !slices.ContainsFunc(out, func(o slo.Selector) bool { _, ok := o.More(s); return ok }) {
			out = append(out, s)
		}
	}
	return out
}

// read is a readFunc of raw samples.
func (b *backend) read(ctx context.Context, queries []query, from, to Minute) (*reading, error) {
	r := &reading{from: from, to: to}
	for _, s := range largest(distinct(queries)) {
		answer, err := b.query(ctx, s.Range(time.Duration(to-from)*time.Minute), to.Time())
		if err := r.add(s, b.rawSeries(answer), err); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// add takes an answer. An error that speaks of this selector alone is that of
// who counts it.
func (r *reading) add(s slo.Selector, series []rawSeries, err error) error {
	if err != nil {
		err = fmt.Errorf("querying %s: %w", s, err)
		if !refused(err) || tooMuch(err, r.to-r.from) {
			return err
		}
	}
	r.answers = append(r.answers, answered{s, series, err})
	return nil
}

// samples is how many the reading brought.
func (r *reading) samples() int {
	n := 0
	for _, a := range r.answers {
		for _, s := range a.series {
			n += len(s.samples)
		}
	}
	return n
}

// rawSeries are the series of an answer, without their replica labels.
func (b *backend) rawSeries(answer []vector) []rawSeries {
	out := make([]rawSeries, 0, len(answer))
	for _, v := range answer {
		replica := valuesOf(v.labels, b.ReplicaLabels)
		for _, name := range b.ReplicaLabels {
			delete(v.labels, name)
		}
		s := rawSeries{labels: labels.FromMap(v.labels), target: valuesOf(v.labels, b.TargetLabels), replica: replica, samples: v.samples}
		s.key, s.pair = s.labels.Hash(), pairOf(s.labels)
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

// series are the series that queries select, with their roles. A series of two
// queries has both roles.
func (r *reading) series(queries []query) ([]rawSeries, error) {
	var out []rawSeries
	type identity struct {
		key     uint64
		replica string
	}
	byKey := map[identity]int{}
	for _, q := range queries {
		answer, more := r.find(q.selector)
		if answer.err != nil {
			return nil, answer.err
		}
		for _, s := range answer.series {
			if !matches(more, s.labels) {
				continue
			}
			if i, ok := byKey[identity{s.key, s.replica}]; ok {
				out[i].roles |= q.role
				continue
			}
			byKey[identity{s.key, s.replica}] = len(out)
			s.roles = q.role
			out = append(out, s)
		}
	}
	return out, nil
}

// find gives the answer that holds a selector's series, and what more they match.
func (r *reading) find(s slo.Selector) (*answered, []*labels.Matcher) {
	for i := range r.answers {
		if more, ok := r.answers[i].selector.More(s); ok && (len(more) == 0 || !r.summed) {
			return &r.answers[i], more
		}
	}
	panic("evaluator: a selector was not read: " + s.String())
}

func matches(matchers []*labels.Matcher, l labels.Labels) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// pairOf is a hash of the labels that the bucket and the count of a histogram
// share.
func pairOf(l labels.Labels) uint64 {
	h, _ := l.HashWithoutLabels(nil, model.MetricNameLabel, labels.BucketLabel)
	return h
}
