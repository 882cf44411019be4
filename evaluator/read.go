package evaluator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// reading is what one round of queries brought, for all who count in it.
type reading struct {
	from, to Minute
	step     Minute // between the slots that values were asked of: one, unless those between are known
	answers  []answered
	sizes    map[string]map[uint64][]sample // of sums, by the text of the query and the series
	starts   starts                         // of targets that were asked for
}

type answered struct {
	query   query       // as it was asked; its role is no matter
	series  []rawSeries // without roles
	err     error       // the backend is well but refuses this query
	byGroup map[string]map[string][]int
}

// read asks queries, each once, about (from, to]; of values about each step. The
// error is one of the whole backend, or says that a shorter range should be asked
// for.
func (b *reader) read(ctx context.Context, queries []query, from, to, step Minute) (*reading, error) {
	r := &reading{from: from, to: to, step: step, sizes: map[string]map[uint64][]sample{}, starts: starts{}}
	for _, s := range largest(selectors(queries)) {
		answer, err := b.query(ctx, s.Range(time.Duration(to-from)*time.Minute), to.Time())
		if err := r.add(query{selector: s}.named(), b.rawSeries(counts(answer)), err); err != nil {
			return nil, err
		}
	}
	for _, q := range distinct(queries) {
		var series []rawSeries
		var err error
		switch q.way {
		case rawSamples:
			continue
		case targetSums:
			series, err = b.perTarget(ctx, "sum", q, r)
		case slotValues:
			var answer []vector
			answer, err = b.values(ctx, q, from+1, to, r.step)
			for _, v := range answer { // the values of several queries have the same labels
				v.labels[model.MetricNameLabel] += "\xff" + q.expr
			}
			series = b.rawSeries(answer)
		}
		if err := r.add(q, series, err); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// distinct are queries that are asked in the same way, each once.
func distinct(queries []query) []query {
	type identity struct {
		way      way
		text, by string
	}
	seen := map[identity]bool{}
	var out []query
	for _, q := range queries {
		if id := (identity{q.way, q.text(), strings.Join(q.by, ",")}); !seen[id] {
			seen[id] = true
			out = append(out, q)
		}
	}
	return out
}

// selectors are what raw samples are read of, each once: all groups of an SLO at
// once, or the only one.
func selectors(queries []query) []slo.Selector {
	type asked struct {
		query   query
		only    string
		several bool // groups
	}
	byText := map[string]*asked{}
	var order []*asked
	for _, q := range queries {
		if q.way != rawSamples {
			continue
		}
		a, only := byText[q.text()], labelsText(q.only)
		if a == nil {
			a = &asked{query: q, only: only}
			byText[q.text()] = a
			order = append(order, a)
		}
		a.several = a.several || a.only != only
	}
	out := make([]slo.Selector, len(order))
	for i, a := range order {
		if out[i] = a.query.own; a.several {
			out[i] = a.query.selector
		}
	}
	return out
}

// labelsText is a text of the labels that make a group.
func labelsText(only []*labels.Matcher) string {
	var b strings.Builder
	for _, m := range only {
		b.WriteString("\xff" + m.Name + "\xff" + m.Value)
	}
	return b.String()
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

// unanswered is why a query got no answer, which ends the reading of all who count in it.
type unanswered struct {
	query string
	cause error
}

func (e *unanswered) Error() string { return "querying " + e.query + ": " + e.cause.Error() }

func (e *unanswered) Unwrap() error { return e.cause }

// ownError is an error of a reading in words of one ledger: it names a query of its own.
func ownError(l *plan, err error) error {
	u, ok := errors.AsType[*unanswered](err)
	if !ok {
		return err
	}
	first := ""
	for _, m := range l.meters {
		for _, q := range m.queries {
			if q.text() == u.query {
				return err
			}
			if first == "" {
				first = q.text()
			}
		}
	}
	return &unanswered{first, u.cause}
}

// add takes an answer. An error that speaks of this query alone is that of who
// counts it.
func (r *reading) add(q query, series []rawSeries, err error) error {
	if s := doubled(series); err == nil && s != nil {
		err = malformed("the answer has the series " + shown(s.labels.String()) + " twice")
	}
	if err != nil && (!refused(err) || tooMuch(err, r.to-r.from)) {
		return &unanswered{q.text(), err}
	}
	r.answers = append(r.answers, answered{query: q, series: series, err: err})
	return nil
}

// doubled is a series that is there twice, if one is.
func doubled(series []rawSeries) *rawSeries {
	type identity struct {
		key         uint64
		replica, le string
	}
	seen := make(map[identity]struct{}, len(series))
	for i := range series {
		s := &series[i]
		id := identity{s.key, s.replica, s.le}
		if _, is := seen[id]; is {
			return s
		}
		seen[id] = struct{}{}
	}
	return nil
}

// histogramSamples is how many samples a native histogram's is as large as.
const histogramSamples = 10

// samples is how many the reading brought.
func (r *reading) samples() int {
	n := 0
	for _, a := range r.answers {
		for _, s := range a.series {
			n += len(s.samples) + histogramSamples*len(s.histograms)
		}
	}
	return n
}

// counts leaves out what no number of events can be.
func counts(answer []vector) []vector {
	for i := range answer {
		v := &answer[i]
		if slices.ContainsFunc(v.samples, impossible) {
			v.samples = slices.DeleteFunc(v.samples, func(s sample) bool {
				if !impossible(s) {
					return false
				}
				v.refused = s
				return true
			})
		}
	}
	return answer
}

// impossible reports whether no number of events can be as a sample: it is negative,
// or a small negative number in 64 bits without a sign, or endless.
func impossible(s sample) bool { return s.v < 0 || s.v == 1<<64 || s.v > maxCount }

// maxCount is more than anything counts: 100 Gbit/s of each of a million hosts for a
// year are 2^79 bytes.
const maxCount = 1 << 80

// rawSeries are the series of an answer, without their replica labels.
func (b *reader) rawSeries(answer []vector) []rawSeries {
	out := make([]rawSeries, 0, len(answer))
	for _, v := range answer {
		replica := valuesOf(v.labels, b.ReplicaLabels)
		for _, name := range b.ReplicaLabels {
			delete(v.labels, name)
		}
		le := boundOf(v.labels)
		s := rawSeries{labels: labels.FromMap(v.labels), le: le, target: valuesOf(v.labels, b.TargetLabels), replica: replica, samples: v.samples, nans: v.nans, histograms: v.histograms, refused: v.refused}
		if v.refused.t != 0 {
			b.counted.refused.WithLabelValues(b.Name).Inc()
		}
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
		key         uint64
		replica, le string
	}
	byKey := map[identity]int{}
	respelled := false
	for _, q := range queries {
		answer, more := r.find(q)
		if answer.err != nil { // of a query that others may have asked
			if i := slices.IndexFunc(queries, func(o query) bool { return o.ownText() == answer.query.text() }); i >= 0 {
				q = queries[i]
			}
			return nil, fmt.Errorf("querying %s: %w", q.ownText(), answer.err)
		}
		for s := range answer.of(q.only) {
			if !s.matches(more) {
				continue
			}
			respelled = respelled || s.le != ""
			id := identity{s.key, s.replica, s.le}
			i, ok := byKey[id]
			if !ok {
				i = len(out)
				byKey[id] = i
				out = append(out, *s)
			}
			out[i].count(q.role, q.weight)
		}
	}
	if respelled {
		out = oncePerBound(out)
	}
	return out, nil
}

// count makes a series count a role, so many times more.
func (s *rawSeries) count(r role, weight float64) {
	if weight == 1 && s.weights == nil && s.roles&r == 0 { // as most do
		s.roles |= r
		return
	}
	if s.weights == nil {
		s.weights = &[3]float64{}
		for i, each := range allRoles {
			if s.roles&each != 0 {
				s.weights[i] = 1
			}
		}
	}
	s.roles |= r
	for i, each := range allRoles {
		if r == each {
			s.weights[i] += weight
		}
	}
}

// find gives the answer that holds a query's series, and what more they match.
func (r *reading) find(q query) (*answered, []*labels.Matcher) {
	for i := range r.answers {
		a := &r.answers[i]
		if a.query.way != q.way {
			continue
		}
		if q.way != rawSamples {
			if a.query.text() == q.text() && slices.Equal(a.query.by, q.by) {
				return a, q.only
			}
			continue
		}
		if more, ok := a.query.selector.More(q.own); ok {
			return a, more
		}
	}
	panic("evaluator: a query was not asked: " + q.text())
}

// of are the series of a group; all of them without one.
func (a *answered) of(group []*labels.Matcher) iter.Seq[*rawSeries] {
	return func(yield func(*rawSeries) bool) {
		if len(group) == 0 {
			for i := range a.series {
				if !yield(&a.series[i]) {
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
			if !yield(&a.series[i]) {
				return
			}
		}
	}
}

// index are the places of series by their values of labels.
func (a *answered) index(names []string) map[string][]int {
	key := strings.Join(names, "\xff")
	if a.byGroup[key] == nil {
		index := map[string][]int{}
		for i := range a.series {
			values := make([]string, len(names))
			for j, name := range names {
				values[j] = a.series[i].labels.Get(name)
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

// matches reports whether matchers match the labels of a series, le as it is
// written.
func (s *rawSeries) matches(matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		value := s.labels.Get(m.Name)
		if m.Name == labels.BucketLabel && s.le != "" {
			value = s.le
		}
		if !m.Matches(value) {
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
