package evaluator

import (
	"context"
	"errors"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// entry is a ledger's book that is advanced, and how that ended.
type entry struct {
	ledger *ledger
	book   *book
	err    error
	done   bool

	progress *progress // told what is read; nil where that is no matter
	left     int64     // minutes that are not read
}

// advance reads and counts the slots of the books of a family up to end. Those
// up to end-settle become final, as far as samples are not late; the others are
// counted again next time; settle is whole minutes, rounded up. On an error the
// timeline ends with the last final slot, and the next call goes on from there.
// A cycle has no time to try again what took long.
func (b *backend) advance(ctx context.Context, entries []*entry, end Minute, cycle bool) {
	byMethod := map[string][]*entry{}
	for _, e := range entries {
		if e.err = b.choose(ctx, e, end); e.err == nil {
			e.err = b.settlePending(ctx, e)
		}
		byMethod[e.book.method] = append(byMethod[e.book.method], e)
	}
	b.advanceBy(ctx, b.read, byMethod[MethodRaw], end, cycle)
	b.advanceBy(ctx, b.readSums, byMethod[MethodAggregated], end, cycle)
}

// advanceBy advances books that are read in the same way.
func (b *backend) advanceBy(ctx context.Context, read readFunc, entries []*entry, end Minute, cycle bool) {
	settled := end - Minute((b.Settle+time.Minute-1)/time.Minute)
	for {
		due, from, to := next(entries, settled, end)
		if len(due) == 0 {
			return
		}
		var queries []query
		for _, e := range due {
			queries = append(queries, e.ledger.queries...)
		}
		r, err := read(ctx, queries, from, to)
		switch {
		case err != nil && from < settled && tooMuch(err, to-from) && (!cycle || !tookLong(err)):
			for _, e := range due {
				e.book.piece = (to - from) / 2
			}
			continue
		case err != nil:
			for _, e := range due {
				e.err = err
			}
			continue
		}
		for _, e := range due {
			before := e.book.settled
			e.book.adapt(r.samples(), to-from, b.MaxSamples)
			e.done = to == end
			e.err = b.take(ctx, e, r, settled)
			e.advanced(e.book.settled - before)
		}
	}
}

// next are the entries that go on together, and the piece (from, to] that they
// read: what is behind first, then all that is not settled at once.
func next(entries []*entry, settled, end Minute) (due []*entry, from, to Minute) {
	from, to = end, end
	for _, e := range entries {
		if e.err == nil && !e.done {
			from = min(from, e.book.settled)
		}
	}
	if from < settled {
		for _, e := range entries {
			if e.err == nil && !e.done && e.book.settled == from {
				to = min(to, from+e.book.piece)
			}
		}
	}
	for _, e := range entries {
		if e.err == nil && !e.done && (e.book.settled < to || to == end) {
			due = append(due, e)
		}
	}
	return due, from, to
}

// take counts what a reading brought, up to settled for good. The last reading
// of an advance holds the slots behind that too.
func (b *backend) take(ctx context.Context, e *entry, r *reading, settled Minute) error {
	k := e.book
	batch, err := r.series(e.ledger.queries)
	if err != nil {
		return err
	}
	if l, ok := e.ledger.indicator.(slo.Latency); ok {
		// An old layout of buckets is no error: its observations are unknown.
		if batch, err = paired(batch); errors.Is(err, errNoBucket) && e.done {
			return b.nearBuckets(ctx, l, r.to)
		}
	}
	k.outgrown = e.done && k.method == MethodRaw && b.Method != MethodRaw && b.MaxSeries > 0 && e.ledger.live(batch, r.to) > b.MaxSeries
	if err := b.size(ctx, e, batch, r); err != nil {
		return err
	}
	k.lose(batch)
	k.tried = nil
	from := max(k.settled, k.timeline.Start())
	before := k.timeline.slots(from)
	k.timeline.Truncate(from)
	if e.done {
		settled = k.accounts.hold(batch, r.to, settled)
	}
	if upTo := min(r.to, settled); upTo > k.settled {
		k.pending = k.accounts.feed(batch, k.settled, upTo)
		if err := b.settlePending(ctx, e); err != nil {
			return err
		}
	}
	if !e.done {
		return nil
	}
	if r.to > k.settled {
		accounts := k.accounts.clone()
		found := accounts.feed(batch, k.settled, r.to)
		if err := b.prove(ctx, found, k.timeline.Start()); err != nil {
			return err
		}
		k.apply(found, e.ledger.counted)
		if found.newest != 0 {
			k.tried = &past{r.to, accounts}
		}
	}
	for i, was := range before {
		is := k.timeline.Sum(from+Minute(i), from+Minute(i)+1)
		if is.Total != was.Total || is.Bad != was.Bad {
			b.metrics.late.WithLabelValues("settling").Inc()
		}
	}
	return nil
}

// settlePending proves what is counted for good, and takes it into the timeline.
func (b *backend) settlePending(ctx context.Context, e *entry) error {
	k := e.book
	found := k.pending
	if found == nil {
		return nil
	}
	if err := b.prove(ctx, found, k.timeline.Start()); err != nil {
		return err
	}
	k.apply(found, e.ledger.counted)
	k.pending, k.settled = nil, found.from+Minute(len(found.known))
	if k.settled > k.timeline.Start() {
		b.metrics.births.WithLabelValues("counted").Add(float64(found.births))
		b.metrics.births.WithLabelValues("ambiguous").Add(float64(found.ambiguous))
	}
	return nil
}

// apply takes what was found into the timeline, without what lies before it.
func (k *book) apply(found *tally, counted role) {
	for _, span := range found.before {
		k.timeline.MarkKnown(span[0], span[1])
	}
	for i := range found.known {
		if found.from+Minute(i) >= k.timeline.End() {
			k.timeline.Append(found.slot(i, counted))
		}
	}
	k.newest = max(k.newest, found.newest)
}

// adapt chooses how much to ask for next, by how much the last answer held.
func (k *book) adapt(samples int, length Minute, limit int) {
	most := min(answerSamples, limit)
	k.piece = min(max(length*Minute(most)/Minute(samples+1), 1), k.piece*4, maxPiece)
}
