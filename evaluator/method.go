package evaluator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// errReplicaLabel says that an SLO selects by what is no difference.
var errReplicaLabel = errors.New("backend's replica_labels, of which any is as good as the other")

// errNoSamples says that a backend counts series whose samples it does not answer.
var errNoSamples = errors.New("answers no samples of them")

// contradicted is the error when a backend counted series of a part at the end of
// what was read, and answered none in all of it.
func (b *reader) contradicted(e *entry) error {
	for i := range e.book.parts {
		p := &e.book.parts[i]
		if p.counted > 0 && !p.met {
			return fmt.Errorf("the backend counts %v series of %s, but %w", p.counted, e.book.plan.meters[i].clockText(), errNoSamples)
		}
		p.counted = 0
	}
	return nil
}

// choose chooses how the parts of a new book count: by raw samples, unless the
// series are too many at the end of what it is to count.
func (b *reader) choose(ctx context.Context, e *entry, end Minute) error {
	for i, m := range e.book.plan.meters {
		for _, q := range m.queries {
			for _, o := range q.selector.Matchers() {
				if slices.Contains(b.ReplicaLabels, o.Name) {
					return fmt.Errorf("%s selects by %s, one of the %w", q.selector, o.Name, errReplicaLabel)
				}
			}
		}
		if err := b.chooseFor(ctx, m, &e.book.parts[i], end); err != nil {
			return err
		}
		switch a := e.book.parts[i].accounts.(type) {
		case *counter:
			a.witness = e.book.plan.witness
			if a.rulings == nil && (e.judges || e.book.plan.groups != nil) {
				a.rulings = &rulings{}
			}
		case *aggregate:
			a.witness = e.book.plan.witness
			if a.rulings == nil && (e.judges || e.book.plan.groups != nil) {
				a.rulings = &rulings{}
			}
		}
	}
	return nil
}

func (b *reader) chooseFor(ctx context.Context, m *meter, p *part, end Minute) error {
	if p.method == "" {
		if err := b.suit(ctx, m, p, end); err != nil {
			return err
		}
	}
	switch {
	case p.method != "":
	case m.fresh != nil && m.queries[0].way == slotValues:
		p.method = MethodEvaluated
	case m.fresh != nil:
		p.method = MethodRaw
	case b.Method == MethodRaw || b.Method == MethodAggregated:
		p.method = b.Method
	case b.MaxSeries == 0:
		p.method = MethodRaw
	default:
		n, err := b.seriesAt(ctx, m, end)
		if err != nil {
			return err
		}
		if p.method = MethodRaw; n > float64(b.MaxSeries) {
			p.method = MethodAggregated
		} else {
			p.counted = n
		}
	}
	switch {
	case p.accounts != nil:
	case m.fresh != nil:
		p.accounts = m.fresh()
	case p.method == MethodAggregated:
		p.accounts = newAggregate(m.clock())
	default:
		p.accounts, p.native = newCounter(m.clock()), true
	}
	return nil
}

// seriesAt counts the series of a meter, whose number decides how they are read. Where the backend won't count them, reading them will tell.
func (b *reader) seriesAt(ctx context.Context, m *meter, at Minute) (float64, error) {
	n := 0.0
	for _, q := range m.queries {
		if q.role&m.clock() == 0 {
			continue
		}
		answer, err := b.query(ctx, "count("+q.selector.With(q.only...).String()+")", at.Time())
		if err != nil && !refused(err) {
			return 0, fmt.Errorf("querying %s: %w", q.selector, err)
		}
		for _, v := range answer {
			for _, x := range v.samples {
				n += x.v
			}
		}
	}
	return n, nil
}

// liveIn is how many series with the meter's events are in a batch that ends at an
// instant, as seriesAt counts them.
func liveIn(m *meter, batch []rawSeries, at Minute) int {
	n := 0
	for i := range batch {
		samples := batch[i].samples
		if batch[i].roles&m.clock() != 0 && len(samples) > 0 && samples[len(samples)-1].t > (at-lag).millis() {
			n++
		}
	}
	return n
}

// once takes of an expression about a selector's series the largest of those that are
// the same counter: of replicas, and of a bucket whose bound is written in several
// ways.
func (b *reader) once(s slo.Selector, expr string) string {
	same := slices.Clone(b.ReplicaLabels)
	if s.IsRespelled() {
		same = append(same, labels.BucketLabel)
	}
	if len(same) == 0 {
		return expr
	}
	return "max without (" + slo.LabelList(same...) + ") (" + expr + ")"
}

// increase is the query for all that a counter grew by.
func (b *reader) increase(s slo.Selector, length Minute) string {
	return "sum(" + b.once(s, "increase("+s.Range(time.Duration(length)*time.Minute)+")") + ")"
}

// perTarget reads an aggregation of a selector's counters by target.
func (b *reader) perTarget(ctx context.Context, operation string, q query, r *reading) ([]rawSeries, error) {
	counters, by := b.once(q.selector, q.selector.String()), slices.Concat(b.TargetLabels, q.by)
	answer, err := b.queryRange(ctx, fmt.Sprintf("%s by (%s) (%s)", operation, slo.LabelList(by...), counters), r.from, r.to, 1)
	for _, v := range answer {
		v.labels[model.MetricNameLabel] = q.text() // what tells the sums of a target apart
	}
	return b.rawSeries(answer), err
}

// size finds how many counters the sums of a batch are of, when that matters.
func (b *reader) size(ctx context.Context, e *entry, i int, batch []rawSeries, r *reading) error {
	a, ok := e.book.parts[i].accounts.(*aggregate)
	if !ok || !a.unsure(batch, e.book.settled) {
		return nil
	}
	queries := e.book.queriesOf(i)
	for _, q := range distinct(queries) {
		text := q.text() + strings.Join(q.by, ",")
		if r.sizes[text] != nil {
			continue // asked for another who counts in it
		}
		series, err := b.perTarget(ctx, "count", q, r)
		if err != nil {
			return fmt.Errorf("counting the series of %s: %w", q.text(), err)
		}
		sizes := map[uint64][]sample{}
		for _, x := range series {
			sizes[x.key] = x.samples
		}
		r.sizes[text] = sizes
	}
	for i := range batch {
		for _, q := range queries {
			if sizes := r.sizes[q.text()+strings.Join(q.by, ",")][batch[i].key]; sizes != nil {
				batch[i].sizes = sizes
			}
		}
	}
	return nil
}
