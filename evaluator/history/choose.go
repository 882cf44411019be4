package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// contradicted is the error when a backend counted series of a part at the end of
// what was read, and answered none in all of it.
func (b *Reader) contradicted(e *Read) error {
	for i := range e.Record.Inputs {
		p := &e.Record.Inputs[i]
		if p.counted > 0 && !p.met {
			return fmt.Errorf("the backend counts %v series of %s, but %w", p.counted, e.Record.Plan.Inputs[i].ClockText(), backend.ErrNoSamples)
		}
		p.counted = 0
	}
	return nil
}

// choose chooses how the parts of a new book count: by raw samples, unless the
// series are too many at the end of what it is to count.
func (b *Reader) choose(ctx context.Context, e *Read, end timeline.Minute) error {
	for i, m := range e.Record.Plan.Inputs {
		for _, q := range m.Queries {
			for _, o := range q.Selector.Matchers() {
				if slices.Contains(b.ReplicaLabels, o.Name) {
					return fmt.Errorf("%s selects by %s, one of the %w", q.Selector, o.Name, backend.ErrReplicaLabel)
				}
			}
		}
		if err := b.chooseFor(ctx, m, &e.Record.Inputs[i], end); err != nil {
			return err
		}
		switch a := e.Record.Inputs[i].Counting.(type) {
		case *counters.Raw:
			a.Recorder = e.Record.Plan.Witness
			if a.Rulings == nil && (e.judges || e.Record.Plan.Groups != nil) {
				a.Rulings = &counting.Rulings{}
			}
		case *counters.Targets:
			a.Recorder = e.Record.Plan.Witness
			if a.Rulings == nil && (e.judges || e.Record.Plan.Groups != nil) {
				a.Rulings = &counting.Rulings{}
			}
		}
	}
	return nil
}

func (b *Reader) chooseFor(ctx context.Context, m *plan.Input, p *InputState, end timeline.Minute) error {
	if p.Method == "" {
		if err := b.suit(ctx, m, p, end); err != nil {
			return err
		}
	}
	switch {
	case p.Method != "":
	case m.Fresh != nil && m.Queries[0].Way == plan.SlotValues:
		p.Method = evaluator.MethodEvaluated
	case m.Fresh != nil:
		p.Method = evaluator.MethodRaw
	case b.Method == evaluator.MethodRaw || b.Method == evaluator.MethodAggregated:
		p.Method = b.Method
	case b.MaxSeries == 0:
		p.Method = evaluator.MethodRaw
	default:
		n, err := b.seriesAt(ctx, m, end)
		if err != nil {
			return err
		}
		if p.Method = evaluator.MethodRaw; n > float64(b.MaxSeries) {
			p.Method = evaluator.MethodAggregated
		} else {
			p.counted = n
		}
	}
	switch {
	case p.Counting != nil:
	case m.Fresh != nil:
		p.Counting = m.Fresh()
	case p.Method == evaluator.MethodAggregated:
		p.Counting = counters.NewTargets(m.Clock())
	default:
		p.Counting, p.Native = counters.NewRaw(m.Clock()), true
	}
	return nil
}

// seriesAt counts the series of a meter, whose number decides how they are read. Where the backend won't count them, reading them will tell.
func (b *Reader) seriesAt(ctx context.Context, m *plan.Input, at timeline.Minute) (float64, error) {
	n := 0.0
	for _, q := range m.Queries {
		if q.Role&m.Clock() == 0 {
			continue
		}
		answer, err := b.Query(ctx, "count("+q.Selector.With(q.Only...).String()+")", at.Time())
		if err != nil && !backend.Refused(err) {
			return 0, fmt.Errorf("querying %s: %w", q.Selector, err)
		}
		for _, v := range answer {
			for _, x := range v.Samples {
				n += x.V
			}
		}
	}
	return n, nil
}

// liveIn is how many series with the meter's events are in a batch that ends at an
// instant, as seriesAt counts them.
func liveIn(m *plan.Input, batch []counting.RawSeries, at timeline.Minute) int {
	n := 0
	for i := range batch {
		samples := batch[i].Samples
		if batch[i].Roles&m.Clock() != 0 && len(samples) > 0 && samples[len(samples)-1].T > (at-counting.MaxLag).Millis() {
			n++
		}
	}
	return n
}

// Once takes of an expression about a selector's series the largest of those that are
// the same counter: of replicas, and of a bucket whose bound is written in several
// ways.
func (b *Reader) Once(s slo.Selector, expr string) string {
	same := slices.Clone(b.ReplicaLabels)
	if s.IsRespelled() {
		same = append(same, labels.BucketLabel)
	}
	if len(same) == 0 {
		return expr
	}
	return "max without (" + slo.LabelList(same...) + ") (" + expr + ")"
}

// Increase is the query for all that a counter grew by.
func (b *Reader) Increase(s slo.Selector, length timeline.Minute) string {
	return "sum(" + b.Once(s, "increase("+s.Range(time.Duration(length)*time.Minute)+")") + ")"
}

// perTarget reads an aggregation of a selector's counters by target.
func (b *Reader) perTarget(ctx context.Context, operation string, q plan.Query, r *batch) ([]counting.RawSeries, error) {
	counters, by := b.Once(q.Selector, q.Selector.String()), slices.Concat(b.TargetLabels, q.By)
	answer, err := b.QueryRange(ctx, fmt.Sprintf("%s by (%s) (%s)", operation, slo.LabelList(by...), counters), r.from, r.to, 1)
	for _, v := range answer {
		v.Labels[model.MetricNameLabel] = q.Text() // what tells the sums of a target apart
	}
	return b.RawSeries(answer), err
}

// size finds how many counters the sums of a batch are of, when that matters.
func (b *Reader) size(ctx context.Context, e *Read, i int, batch []counting.RawSeries, r *batch) error {
	a, ok := e.Record.Inputs[i].Counting.(*counters.Targets)
	if !ok || !a.NeedsSizes(batch, e.Record.Settled) {
		return nil
	}
	queries := e.Record.QueriesOf(i)
	for _, q := range distinct(queries) {
		text := q.Text() + strings.Join(q.By, ",")
		if r.sizes[text] != nil {
			continue // asked for another who counts in it
		}
		series, err := b.perTarget(ctx, "count", q, r)
		if err != nil {
			return fmt.Errorf("counting the series of %s: %w", q.Text(), err)
		}
		sizes := map[uint64][]backend.Sample{}
		for _, x := range series {
			sizes[x.Key] = x.Samples
		}
		r.sizes[text] = sizes
	}
	for i := range batch {
		for _, q := range queries {
			if sizes := r.sizes[q.Text()+strings.Join(q.By, ",")][batch[i].Key]; sizes != nil {
				batch[i].Sizes = sizes
			}
		}
	}
	return nil
}
