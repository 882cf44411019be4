package evaluator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/slo"
)

// errReplicaLabel says that an SLO selects by what is no difference.
var errReplicaLabel = errors.New("backend's replica_labels, of which any is as good as the other")

// choose chooses how a new book counts: by raw samples, unless the series are
// too many at the end of what it is to count.
func (b *backend) choose(ctx context.Context, e *entry, end Minute) error {
	k := e.book
	for _, q := range e.ledger.queries {
		for _, m := range q.selector.Matchers() {
			if slices.Contains(b.ReplicaLabels, m.Name) {
				return fmt.Errorf("%s selects by %s, one of the %w", q.selector, m.Name, errReplicaLabel)
			}
		}
	}
	if k.method == "" {
		switch b.Method {
		case MethodRaw, MethodAggregated:
			k.method = b.Method
		default:
			many, err := b.many(ctx, e.ledger, end)
			if err != nil {
				return err
			}
			if k.method = MethodRaw; many {
				k.method = MethodAggregated
			}
		}
	}
	switch {
	case k.accounts != nil:
	case k.method == MethodAggregated:
		a := newAggregate(e.ledger.clock())
		a.witness, k.accounts = e.ledger.witness, a
	default:
		c := newCounter(e.ledger.clock())
		c.witness, k.accounts = e.ledger.witness, c
	}
	return nil
}

// many reports whether a ledger has more series than may be read raw. Where the
// backend won't count them, reading them will tell.
func (b *backend) many(ctx context.Context, l *ledger, at Minute) (bool, error) {
	if b.MaxSeries == 0 {
		return false, nil
	}
	n := 0.0
	for _, q := range l.queries {
		if q.role&l.clock() == 0 {
			continue
		}
		answer, err := b.query(ctx, "count("+q.selector.String()+")", at.Time())
		if err != nil && !refused(err) {
			return false, fmt.Errorf("querying %s: %w", q.selector, err)
		}
		for _, v := range answer {
			for _, x := range v.samples {
				n += x.v
			}
		}
	}
	return n > float64(b.MaxSeries), nil
}

// live is how many series with the ledger's events are in a batch that ends at an
// instant, as many counts them.
func (l *ledger) live(batch []rawSeries, at Minute) int {
	n := 0
	for i := range batch {
		samples := batch[i].samples
		if batch[i].roles&l.clock() != 0 && len(samples) > 0 && samples[len(samples)-1].t > (at-lag).millis() {
			n++
		}
	}
	return n
}

// readSums is a readFunc of the sums of each target's counters at the boundaries
// of slots, from itself among them.
func (b *backend) readSums(ctx context.Context, queries []query, from, to Minute) (*reading, error) {
	r := &reading{from: from, to: to, summed: true}
	for _, s := range distinct(queries) {
		series, err := b.perTarget(ctx, "sum", s, r)
		if err := r.add(s, series, err); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// perTarget reads an aggregation of a selector's counters by target. Of replicas
// it takes the largest.
func (b *backend) perTarget(ctx context.Context, operation string, s slo.Selector, r *reading) ([]rawSeries, error) {
	counters := s.String()
	if len(b.ReplicaLabels) > 0 {
		counters = "max without (" + strings.Join(b.ReplicaLabels, ", ") + ") (" + counters + ")"
	}
	answer, err := b.queryRange(ctx, fmt.Sprintf("%s by (%s) (%s)", operation, strings.Join(b.TargetLabels, ", "), counters), r.from, r.to)
	for _, v := range answer {
		v.labels[model.MetricNameLabel] = s.String() // what tells the sums of a target apart
	}
	return b.rawSeries(answer), err
}

// size finds how many counters the sums of a batch are of, when that matters.
func (b *backend) size(ctx context.Context, e *entry, batch []rawSeries, r *reading) error {
	a, ok := e.book.accounts.(*aggregate)
	if !ok || !a.unsure(batch, e.book.settled) {
		return nil
	}
	sizes := map[uint64][]sample{}
	for _, s := range distinct(e.ledger.queries) {
		series, err := b.perTarget(ctx, "count", s, r)
		if err != nil {
			return fmt.Errorf("counting the series of %s: %w", s, err)
		}
		for _, x := range series {
			sizes[x.key] = x.samples
		}
	}
	for i := range batch {
		batch[i].sizes = sizes[batch[i].key]
	}
	return nil
}
