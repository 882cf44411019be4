package evaluator

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// entry is a plan's book that is advanced, and how that ended.
type entry struct {
	book *book
	err  error
	done bool

	fresh  func() *book // the book as it was before anything was read; nil where nobody reads it again
	trial  []*tally     // of each part what is counted behind the settled slots; nil for nothing
	parts  []part       // that it leads to
	before []Sum        // the slots that are counted again, as they were

	judges bool   // it is read for what it says of groups only
	whole  *entry // that judges for it; nil where none does

	read func(minutes Minute) // called with how much more is read; nil where nobody asks
}

// advance reads and counts the slots of the books of a family up to end. Those
// up to end-settle become final, as far as samples are not late; the others are
// counted again next time; settle is whole minutes, rounded up. On an error the
// timeline ends with the last final slot, and the next call goes on from there.
// A cycle has no time to try again what took long.
func (b *reader) advance(ctx context.Context, entries []*entry, end Minute, cycle bool) {
	var failed error
	defer func() {
		for _, e := range entries {
			if failed != nil {
				e.fail(failed)
			}
		}
	}()
	defer b.rescue(&failed)
	if len(entries) == 0 {
		return
	}
	from := end
	for _, e := range entries {
		from = min(from, e.book.settled)
	}
	selectors := func() (out []slo.Selector) {
		for _, e := range entries {
			out = append(out, e.book.plan.selectors()...)
		}
		return out
	}
	if err := b.missing(ctx, selectors, from, end, cycle); err != nil {
		for _, e := range entries {
			e.err = err
		}
		return
	}
	b.advanceWhole(ctx, entries, end, cycle)
	if cycle {
		return
	}
	if err := b.missing(ctx, selectors, from, end, false); err != nil {
		for _, e := range entries {
			e.err = err
		}
	}
}

// advanceWhole is advance of a backend none of whose parts is missing.
func (b *reader) advanceWhole(ctx context.Context, entries []*entry, end Minute, cycle bool) {
	for _, e := range entries {
		if e.err = e.book.broken; e.err == nil {
			e.err = b.choose(ctx, e, end)
		}
	}
	entries = b.judged(ctx, entries, end)
	b.settle(ctx, entries)
	settled := end - Minute((b.Settle+time.Minute-1)/time.Minute)
	for {
		due, from, to := next(entries, settled, end)
		if len(due) == 0 {
			return
		}
		b.advancePiece(ctx, due, piece{from, to, settled, end}, cycle)
	}
}

// piece is what is read at once, up to which slots settle, and up to where all is read.
type piece struct{ from, to, settled, end Minute }

// advancePiece reads a piece, and counts it.
func (b *reader) advancePiece(ctx context.Context, due []*entry, p piece, cycle bool) {
	ctx, done := b.share(ctx)
	defer done()
	r, err := b.readFor(ctx, due, p.from, p.to, stepOf(due, p.from, p.to, p.settled))
	switch {
	case err != nil && p.from < p.settled && tooMuch(err, p.to-p.from) && (!cycle || !tookLong(err)):
		for _, e := range due {
			e.book.piece = (p.to - p.from) / 2
		}
		return
	case err != nil:
		for _, e := range due {
			e.err = ownError(e.book.plan, err)
		}
		return
	}
	for _, e := range due {
		e.book.adapt(r.samples(), p.to-p.from, b.MaxSamples)
		e.done = p.to == p.end
		if e.err = b.takeSafely(ctx, e, r, p.settled); errors.Is(e.err, errRespelled) {
			e.err, e.done = nil, false // it is read again
		}
	}
	b.settle(ctx, due)
}

// readFor asks what entries ask about (from, to].
func (b *reader) readFor(ctx context.Context, due []*entry, from, to, step Minute) (*reading, error) {
	var queries []query
	paces := map[paceRange][]pace{}
	for _, e := range due {
		if err := b.pace(ctx, e, from, to, paces); err != nil {
			return nil, err
		}
		queries = append(queries, e.book.queries()...)
	}
	return b.read(ctx, queries, from, to, step)
}

// stepOf is the step at which values are asked for: in a cycle only the slot that
// settles and the newest one are, for those between were, a minute ago.
func stepOf(due []*entry, from, to, settled Minute) Minute {
	if from+1 != settled || to-settled < 2 {
		return 1
	}
	for _, e := range due {
		for i, m := range e.book.plan.meters {
			if m.queries[0].way == slotValues && e.book.parts[i].asked != to-1 {
				return 1
			}
		}
	}
	return to - settled
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

// takeSafely takes, so that what fails for one entry fails for no other.
func (b *reader) takeSafely(ctx context.Context, e *entry, r *reading, settled Minute) (err error) {
	defer func() {
		if _, is := errors.AsType[failed](err); is {
			e.fail(err)
		}
	}()
	defer b.rescue(&err)
	return b.take(ctx, e, r, settled)
}

// fail ends a reading in the middle of its book, which nobody can go on with.
func (e *entry) fail(err error) {
	e.err, e.book.broken = err, err
}

// take counts what a reading brought, up to settled for good. The last reading
// of an advance holds the slots behind that too.
func (b *reader) take(ctx context.Context, e *entry, r *reading, settled Minute) error {
	k := e.book
	batches, err := b.batches(ctx, e, r)
	if err != nil {
		return err
	}
	begun, err := b.begun(ctx, e, r, batches, settled)
	if err != nil {
		return err
	}
	if e.done {
		if err := b.contradicted(e); err != nil {
			return err
		}
	}
	b.findTwins(ctx, e, r, batches, settled)
	k.meet(batches)
	k.lose(batches)
	k.tried = nil
	from := max(k.settled, k.timeline.Start())
	e.before = k.timeline.slots(from)
	k.timeline.Truncate(from)
	if e.done {
		for i := range k.parts {
			settled = min(settled, k.parts[i].accounts.hold(batches[i], r.to, settled))
		}
	}
	at := k.settled
	if upTo := min(r.to, settled); upTo > at {
		if e.whole != nil { // its rulings of all that settles; those of latest reach back an hour only
			e.follow(k.parts, e.whole.book.parts)
		}
		for i := range k.parts {
			giveStarts(k.parts[i].accounts, begun)
		}
		k.pending = feed(e.book.plan, k.parts, batches, at, upTo)
		at = upTo
	}
	if e.done && r.to > at {
		e.parts = cloned(k.parts)
		if e.whole != nil {
			e.follow(e.parts, e.whole.latest())
		}
		e.trial = feed(e.book.plan, e.parts, batches, at, r.to)
	}
	return nil
}

// feed counts the samples of (from, to] of each part.
func feed(l *plan, parts []part, batches [][]rawSeries, from, to Minute) []*tally {
	found := make([]*tally, len(parts))
	for i := range parts {
		found[i] = parts[i].accounts.feed(batches[i], from, to)
		if l.witness != nil && l.meters[i].fresh != nil { // counters tell more
			l.witness.values(batches[i], from, to)
		}
	}
	return found
}

// latest are the parts that the last reading led to.
func (e *entry) latest() []part {
	if e.parts != nil {
		return e.parts
	}
	return e.book.parts
}

// settle proves what was counted, of all entries at once, and takes it into their
// timelines.
func (b *reader) settle(ctx context.Context, entries []*entry) {
	var proofs []proof
	for _, e := range entries {
		if e.judges && e.book.pending != nil {
			found := e.book.pending
			e.book.settled, e.book.pending, e.trial = found[0].from+Minute(len(found[0].known)), nil, nil
		}
		if e.err == nil && !e.judges {
			start := e.book.timeline.Start()
			proofs = append(proofs, proof{e.book.pending, start}, proof{e.trial, start})
		}
	}
	err := b.prove(ctx, proofs)
	for _, e := range entries {
		switch {
		case e.judges:
			e.trial = nil
		case e.err == nil && err == nil:
			b.keep(e)
		case e.err == nil && (e.book.pending != nil || e.trial != nil):
			e.err = err
		}
		e.trial, e.parts, e.before = nil, nil, nil
	}
}

// keep takes what was counted and proven into an entry's timeline.
func (b *reader) keep(e *entry) {
	k := e.book
	from := max(k.settled, k.timeline.Start())
	if found := k.pending; found != nil {
		k.apply(found, k.record, found[0].from+Minute(len(found[0].known)))
		noteNewest(k.parts, found)
		before := k.settled
		k.pending, k.settled = nil, found[0].from+Minute(len(found[0].known))
		k.closeHours(before, found)
		if k.record != nil {
			k.record.trim(e.book.plan)
		}
		if e.read != nil {
			e.read(k.settled - before)
		}
		for _, f := range found {
			k.undecided = k.undecided.with(f.undecided)
			if k.settled > k.timeline.Start() {
				b.counted.births.WithLabelValues("counted").Add(float64(f.births))
				b.counted.births.WithLabelValues("ambiguous").Add(float64(f.ambiguous))
			}
		}
	}
	k.timeline.seldom = k.seldom()
	if found := e.trial; found != nil {
		k.unsettled = nil
		for _, f := range found {
			k.unsettled = k.unsettled.with(f.undecided)
		}
		record := k.record.clone()
		k.apply(found, record, k.settled)
		noteNewest(k.parts, found)
		if slices.ContainsFunc(found, func(f *tally) bool { return f.newest != 0 }) {
			k.tried = &past{found[0].from + Minute(len(found[0].known)), e.parts, record}
		}
	}
	for i, was := range e.before {
		is := k.timeline.Sum(from+Minute(i), from+Minute(i)+1)
		if e.done && (is.Total != was.Total || is.Bad != was.Bad) {
			b.counted.late.WithLabelValues("settling").Inc()
		}
	}
}

// noteNewest notes until when parts have samples.
func noteNewest(parts []part, found []*tally) {
	for i, f := range found {
		parts[i].nan = max(parts[i].nan, f.nan)
		parts[i].newest, parts[i].alive = max(parts[i].newest, f.newest), max(parts[i].alive, f.alive)
	}
}

// usual is how many slots behind the last known one may still become known when
// they are settled: a sample makes those of two scrapes before it known. What is
// evaluated is known at once.
func (k *book) usual() Minute {
	longest := int64(0)
	for i, m := range k.plan.meters {
		if m.queries[0].way != slotValues {
			longest = max(longest, k.parts[i].accounts.interval())
		}
	}
	return max(Minute((2*longest+longest/10)/60_000)-k.plan.settle, 0)
}

// apply takes what was found into the timeline, without what lies before it. Slots
// behind settled may change.
func (k *book) apply(found []*tally, r *record, settled Minute) {
	if r != nil {
		behind := r.end()
		for i, f := range found {
			for _, span := range f.before {
				behind = min(behind, r.mark(i, span[0], span[1]))
			}
		}
		for i := range found[0].known {
			all := make(leaves, len(found))
			for j, f := range found {
				all[j] = f.slot(i, k.plan.meters[j].counted)
			}
			r.slots = append(r.slots, all)
		}
		r.usual = k.usual()
		r.derive(k.plan, k.timeline, behind, settled)
		return
	}
	for _, span := range found[0].before {
		k.timeline.MarkKnown(span[0], span[1])
	}
	for i := range found[0].known {
		if found[0].from+Minute(i) >= k.timeline.End() {
			k.timeline.Append(found[0].slot(i, k.plan.meters[0].counted))
		}
	}
}

// adapt chooses how much to ask for next, by how much the last answer held.
func (k *book) adapt(samples int, length Minute, limit int) {
	most := min(answerSamples, limit)
	k.piece = min(max(length*Minute(most)/Minute(samples+1), 1), k.piece*4, maxPiece)
}
