package history

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// queries returns the queries of all inputs of a Record.
func (r *Record) queries() []plan.Query {
	var out []plan.Query
	for i := range r.Plan.Inputs {
		out = append(out, r.QueriesOf(i)...)
	}
	return out
}

// QueriesOf returns the queries of an input. It leaves out native histograms if recently
// only classic ones were found.
func (r *Record) QueriesOf(i int) []plan.Query {
	m, p := r.Plan.Inputs[i], &r.Inputs[i]
	out := m.Queries
	if l, ok := m.Indicator.(slo.Latency); ok && len(p.Spellings) > 0 {
		out = slices.Clone(out)
		for i := range out {
			if out[i].Role == counting.RoleGood {
				out[i].Selector = l.Bucket(p.Spellings...)
				out[i] = out[i].Prepared()
			}
		}
	}
	switch {
	case m.Paced():
		out = slices.Clone(out)
		out[0].Paces = p.Counting.(*gauges.Values).Paces
	case p.Method == evaluator.MethodAggregated:
		out = slices.Clone(out)
		for i := range out {
			out[i].Way = plan.TargetSums
		}
	case m.Native != nil && p.Native:
		out = append(slices.Clip(out), m.NativeQuery())
	}
	return out
}

// batches returns the series of each input of a Read.
func (b *Reader) batches(ctx context.Context, e *Read, r *round) ([][]counting.RawSeries, error) {
	record, live := e.Record, 0
	out := make([][]counting.RawSeries, len(record.Inputs))
	for i, m := range e.Record.Plan.Inputs {
		p := &record.Inputs[i]
		batch, err := r.series(e.Record.QueriesOf(i)[:len(m.Queries)])
		if err != nil {
			return nil, err
		}
		p.refuse(batch)
		p.wasRead = p.wasRead || slices.ContainsFunc(batch, func(s counting.RawSeries) bool { return s.Roles&m.Clock() != 0 })
		if m.Native != nil {
			if batch, err = b.observations(ctx, e, i, batch, r); err != nil {
				return nil, err
			}
		}
		if err := b.size(ctx, e, i, batch, r); err != nil {
			return nil, err
		}
		if m.NewMethod == nil && p.Method == evaluator.MethodRaw {
			live += liveIn(m, batch, r.to)
		}
		if m.Queries[0].Way == plan.SlotValues && e.done {
			batch = p.addBetween(batch, r, r.to-timeline.Minutes(b.Settle)-1)
		}
		out[i] = batch
	}
	record.Outgrown = e.done && b.Method != evaluator.MethodRaw && b.MaxSeries > 0 && live > b.MaxSeries
	return out, nil
}

// observations returns the series of histograms, classic or native.
func (b *Reader) observations(ctx context.Context, e *Read, i int, batch []counting.RawSeries, r *round) ([]counting.RawSeries, error) {
	m, p := e.Record.Plan.Inputs[i], &e.Record.Inputs[i]
	if p.Native && p.Method == evaluator.MethodRaw {
		native, err := r.series([]plan.Query{m.NativeQuery()})
		if err != nil {
			return nil, err
		}
		silent := len(batch) == 0
		var found, inexact bool
		batch, found, inexact = counting.AddNative(batch, native, m.Native)
		p.Inexact = p.Inexact || inexact
		if e.done {
			p.Native, p.mixed = found || silent, found && !silent
		}
	} else if e.done && liveIn(m, batch, r.to) == 0 {
		p.Native = true // they may have become native
	}
	// An old layout of buckets is no error: its observations are unknown.
	batch, found := counting.PairBuckets(batch)
	if len(found.Lacking) > 0 && e.done {
		return nil, b.bucketError(ctx, m.Indicator.(slo.Latency), p, found, r.to)
	}
	return batch, nil
}

// addBetween adds the values between the queried slots, which an earlier query returned.
// It stores the newest values for the next time.
func (p *InputState) addBetween(batch []counting.RawSeries, r *round, settled timeline.Minute) []counting.RawSeries {
	if r.step > 1 {
		at := map[uint64]int{}
		for i, s := range batch {
			at[s.Key] = i
		}
		for _, s := range p.newestValues {
			samples := backend.Between(s.Samples, (r.from + 1).Millis(), (r.to - 1).Millis())
			if i, ok := at[s.Key]; ok {
				batch[i].Samples = counting.Interleave(batch[i].Samples, samples)
			} else if len(samples) > 0 {
				s.Samples = samples
				batch = append(batch, s)
			}
		}
	}
	p.queriedUntil, p.newestValues = r.to, slices.Clone(batch)
	for i := range p.newestValues {
		p.newestValues[i].Samples = slices.Clone(backend.Between(batch[i].Samples, settled.Millis(), r.to.Millis()))
	}
	return batch
}
