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

// checkExpected returns an error if a backend counted series of an input at the end of
// the time, but returned no samples of them at all.
func (b *Reader) checkExpected(e *Read) error {
	for i := range e.Record.Inputs {
		p := &e.Record.Inputs[i]
		if p.expected > 0 && !p.wasRead {
			return fmt.Errorf("the backend counts %v series of %s, but %w", p.expected, e.Record.Plan.Inputs[i].ClockText(), backend.ErrNoSamples)
		}
		p.expected = 0
	}
	return nil
}

// choose chooses the method of each input of a new Record: raw samples, unless there are
// too many series at the end.
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
		counters.Prepare(e.Record.Inputs[i].Counting, e.Record.Plan.Recorder, e.judges || e.Record.Plan.Groups != nil)
	}
	return nil
}

func (b *Reader) chooseFor(ctx context.Context, m *plan.Input, p *InputState, end timeline.Minute) error {
	if p.Method == "" {
		if err := b.checkInput(ctx, m, p, end); err != nil {
			return err
		}
	}
	switch {
	case p.Method != "":
	case m.NewMethod != nil && m.Queries[0].Way == plan.SlotValues:
		p.Method = evaluator.MethodEvaluated
	case m.NewMethod != nil:
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
		p.Method = evaluator.MethodRaw
		if n > float64(b.MaxSeries) {
			p.Method = evaluator.MethodAggregated
		} else {
			p.expected = n
		}
	}
	switch {
	case p.Counting != nil:
	case m.NewMethod != nil:
		p.Counting = m.NewMethod()
	case p.Method == evaluator.MethodAggregated:
		p.Counting = counters.NewTargets(m.Clock())
	default:
		p.Counting, p.Native = counters.NewRaw(m.Clock()), true
	}
	return nil
}

// seriesAt counts the series of an input, because their number decides the method. If the
// backend refuses to count them, the next query returns the error.
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

// liveIn counts the series of an input in a batch that ends at an instant, as seriesAt
// does.
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

// Deduplicate returns an expression about a selector's series that takes the largest of
// several series of one counter: of replicas, and of a bucket whose bound is written in
// several ways.
func (b *Reader) Deduplicate(s slo.Selector, expr string) string {
	same := slices.Clone(b.ReplicaLabels)
	if s.IsRespelled() {
		same = append(same, labels.BucketLabel)
	}
	if len(same) == 0 {
		return expr
	}
	return "max without (" + slo.LabelList(same...) + ") (" + expr + ")"
}

// Increase returns the query for the growth of a counter.
func (b *Reader) Increase(s slo.Selector, length timeline.Minute) string {
	return "sum(" + b.Deduplicate(s, "increase("+s.Range(time.Duration(length)*time.Minute)+")") + ")"
}

// perTarget queries an aggregation of a selector's counters by target.
func (b *Reader) perTarget(ctx context.Context, operation string, q plan.Query, r *round) ([]counting.RawSeries, error) {
	counters, by := b.Deduplicate(q.Selector, q.Selector.String()), slices.Concat(b.TargetLabels, q.By)
	answer, err := b.QueryRange(ctx, fmt.Sprintf("%s by (%s) (%s)", operation, slo.LabelList(by...), counters), r.from, r.to, 1)
	for _, v := range answer {
		v.Labels[model.MetricNameLabel] = q.Text() // separates the sums of a target
	}
	return b.RawSeries(answer), err
}

// size reads the numbers of counters in the sums of a batch, if they matter.
func (b *Reader) size(ctx context.Context, e *Read, i int, batch []counting.RawSeries, r *round) error {
	a, ok := e.Record.Inputs[i].Counting.(*counters.Targets)
	if !ok || !a.NeedsSizes(batch, e.Record.Settled) {
		return nil
	}
	queries := e.Record.QueriesOf(i)
	for _, q := range distinctQueries(queries) {
		text := q.Text() + strings.Join(q.By, ",")
		if r.sizes[text] != nil {
			continue // queried for another input
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
