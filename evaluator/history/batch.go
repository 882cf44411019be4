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

// queries are what a book's meters ask for.
func (k *Record) queries() []plan.Query {
	var out []plan.Query
	for i := range k.Plan.Inputs {
		out = append(out, k.QueriesOf(i)...)
	}
	return out
}

// QueriesOf are what one of the meters asks for, but native histograms where
// only classic ones were found of late.
func (k *Record) QueriesOf(i int) []plan.Query {
	m, p := k.Plan.Inputs[i], &k.Inputs[i]
	out := m.Queries
	if l, ok := m.Indicator.(slo.Latency); ok && len(p.Spellings) > 0 {
		out = slices.Clone(out)
		for i := range out {
			if out[i].Role == counting.RoleGood {
				out[i].Selector = l.Bucket(p.Spellings...)
				out[i] = out[i].Named()
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

// batches are the series of a reading for each part of a book.
func (b *Reader) batches(ctx context.Context, e *Read, r *batch) ([][]counting.RawSeries, error) {
	k, live := e.Record, 0
	out := make([][]counting.RawSeries, len(k.Inputs))
	for i, m := range e.Record.Plan.Inputs {
		p := &k.Inputs[i]
		batch, err := r.series(e.Record.QueriesOf(i)[:len(m.Queries)])
		if err != nil {
			return nil, err
		}
		p.refuse(batch)
		p.met = p.met || slices.ContainsFunc(batch, func(s counting.RawSeries) bool { return s.Roles&m.Clock() != 0 })
		if m.Native != nil {
			if batch, err = b.observations(ctx, e, i, batch, r); err != nil {
				return nil, err
			}
		}
		if err := b.size(ctx, e, i, batch, r); err != nil {
			return nil, err
		}
		if m.Fresh == nil && p.Method == evaluator.MethodRaw {
			live += liveIn(m, batch, r.to)
		}
		if m.Queries[0].Way == plan.SlotValues && e.Done {
			batch = p.complete(batch, r, r.to-timeline.Minutes(b.Settle)-1)
		}
		out[i] = batch
	}
	k.Outgrown = e.Done && b.Method != evaluator.MethodRaw && b.MaxSeries > 0 && live > b.MaxSeries
	return out, nil
}

// observations are those of histograms, classic or native.
func (b *Reader) observations(ctx context.Context, e *Read, i int, batch []counting.RawSeries, r *batch) ([]counting.RawSeries, error) {
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
		if e.Done {
			p.Native, p.mixed = found || silent, found && !silent
		}
	} else if e.Done && liveIn(m, batch, r.to) == 0 {
		p.Native = true // they may have become native
	}
	// An old layout of buckets is no error: its observations are unknown.
	batch, found := counting.PairBuckets(batch)
	if len(found.Lacking) > 0 && e.Done {
		return nil, b.unbucketed(ctx, m.Indicator.(slo.Latency), p, found, r.to)
	}
	return batch, nil
}

// complete adds to values that were asked for those between, which were asked for
// before, and keeps the newest for the next time.
func (p *InputState) complete(batch []counting.RawSeries, r *batch, settled timeline.Minute) []counting.RawSeries {
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
	p.asked, p.newestValues = r.to, slices.Clone(batch)
	for i := range p.newestValues {
		p.newestValues[i].Samples = slices.Clone(backend.Between(batch[i].Samples, settled.Millis(), r.to.Millis()))
	}
	return batch
}
