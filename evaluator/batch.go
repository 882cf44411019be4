package evaluator

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/slo"
)

// queries are what a book's meters ask for.
func (k *book) queries() []query {
	var out []query
	for i := range k.plan.meters {
		out = append(out, k.queriesOf(i)...)
	}
	return out
}

// queriesOf are what one of the meters asks for, but native histograms where
// only classic ones were found of late.
func (k *book) queriesOf(i int) []query {
	m, p := k.plan.meters[i], &k.parts[i]
	out := m.queries
	if l, ok := m.indicator.(slo.Latency); ok && len(p.spellings) > 0 {
		out = slices.Clone(out)
		for i := range out {
			if out[i].role == roleGood {
				out[i].selector = l.Bucket(p.spellings...)
				out[i] = out[i].named()
			}
		}
	}
	switch {
	case m.paced():
		out = slices.Clone(out)
		out[0].paces = p.accounts.(*levels).paces
	case p.method == MethodAggregated:
		out = slices.Clone(out)
		for i := range out {
			out[i].way = targetSums
		}
	case m.native != nil && p.native:
		out = append(slices.Clip(out), m.nativeQuery())
	}
	return out
}

func (m *meter) nativeQuery() query {
	return query{selector: m.native.Histogram, only: m.queries[0].only}.named()
}

// batches are the series of a reading for each part of a book.
func (b *reader) batches(ctx context.Context, e *entry, r *reading) ([][]rawSeries, error) {
	k, live := e.book, 0
	out := make([][]rawSeries, len(k.parts))
	for i, m := range e.book.plan.meters {
		p := &k.parts[i]
		batch, err := r.series(e.book.queriesOf(i)[:len(m.queries)])
		if err != nil {
			return nil, err
		}
		p.refuse(batch)
		p.met = p.met || slices.ContainsFunc(batch, func(s rawSeries) bool { return s.roles&m.clock() != 0 })
		if m.native != nil {
			if batch, err = b.observations(ctx, e, i, batch, r); err != nil {
				return nil, err
			}
		}
		if err := b.size(ctx, e, i, batch, r); err != nil {
			return nil, err
		}
		if m.fresh == nil && p.method == MethodRaw {
			live += liveIn(m, batch, r.to)
		}
		if m.queries[0].way == slotValues && e.done {
			batch = p.complete(batch, r, r.to-minutes(b.Settle)-1)
		}
		out[i] = batch
	}
	k.outgrown = e.done && b.Method != MethodRaw && b.MaxSeries > 0 && live > b.MaxSeries
	return out, nil
}

// observations are those of histograms, classic or native.
func (b *reader) observations(ctx context.Context, e *entry, i int, batch []rawSeries, r *reading) ([]rawSeries, error) {
	m, p := e.book.plan.meters[i], &e.book.parts[i]
	if p.native && p.method == MethodRaw {
		native, err := r.series([]query{m.nativeQuery()})
		if err != nil {
			return nil, err
		}
		silent := len(batch) == 0
		var found, inexact bool
		batch, found, inexact = addNative(batch, native, m.native)
		p.inexact = p.inexact || inexact
		if e.done {
			p.native, p.mixed = found || silent, found && !silent
		}
	} else if e.done && liveIn(m, batch, r.to) == 0 {
		p.native = true // they may have become native
	}
	// An old layout of buckets is no error: its observations are unknown.
	batch, found := paired(batch)
	if len(found.lacking) > 0 && e.done {
		return nil, b.unbucketed(ctx, m.indicator.(slo.Latency), p, found, r.to)
	}
	return batch, nil
}

// complete adds to values that were asked for those between, which were asked for
// before, and keeps the newest for the next time.
func (p *part) complete(batch []rawSeries, r *reading, settled Minute) []rawSeries {
	if r.step > 1 {
		at := map[uint64]int{}
		for i, s := range batch {
			at[s.key] = i
		}
		for _, s := range p.recent {
			samples := between(s.samples, (r.from + 1).millis(), (r.to - 1).millis())
			if i, ok := at[s.key]; ok {
				batch[i].samples = interleaved(batch[i].samples, samples)
			} else if len(samples) > 0 {
				s.samples = samples
				batch = append(batch, s)
			}
		}
	}
	p.asked, p.recent = r.to, slices.Clone(batch)
	for i := range p.recent {
		p.recent[i].samples = slices.Clone(between(batch[i].samples, settled.millis(), r.to.millis()))
	}
	return batch
}
