package history

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Read is a plan's book that is advanced, and how that ended.
type Read struct {
	Record *Record
	Err    error
	Done   bool

	Fresh  func() *Record     // the book as it was before anything was read; nil where nobody reads it again
	trial  []*counting.Events // of each part what is counted behind the settled slots; nil for nothing
	parts  []InputState       // that it leads to
	before []timeline.Sum     // the slots that are counted again, as they were

	judges bool  // it is read for what it says of groups only
	whole  *Read // that judges for it; nil where none does

	Read func(minutes timeline.Minute) // called with how much more is read; nil where nobody asks
}

// Advance reads and counts the slots of the books of a family up to end. Those
// up to end-settle become final, as far as samples are not late; the others are
// counted again next time; settle is whole minutes, rounded up. On an error the
// timeline ends with the last final slot, and the next call goes on from there.
// A cycle has no time to try again what took long.
func (b *Reader) Advance(ctx context.Context, entries []*Read, end timeline.Minute, cycle bool) {
	var failed error
	defer func() {
		for _, e := range entries {
			if failed != nil {
				e.fail(failed)
			}
		}
	}()
	defer b.Rescue(&failed)
	if len(entries) == 0 {
		return
	}
	from := end
	for _, e := range entries {
		from = min(from, e.Record.Settled)
	}
	selectors := func() (out []slo.Selector) {
		for _, e := range entries {
			out = append(out, e.Record.Plan.Selectors()...)
		}
		return out
	}
	if err := b.Missing(ctx, selectors, from, end, cycle); err != nil {
		for _, e := range entries {
			e.Err = err
		}
		return
	}
	b.advanceWhole(ctx, entries, end, cycle)
	if cycle {
		return
	}
	if err := b.Missing(ctx, selectors, from, end, false); err != nil {
		for _, e := range entries {
			e.Err = err
		}
	}
}

// advanceWhole is advance of a backend none of whose parts is missing.
func (b *Reader) advanceWhole(ctx context.Context, entries []*Read, end timeline.Minute, cycle bool) {
	for _, e := range entries {
		if e.Err = e.Record.Broken; e.Err == nil {
			e.Err = b.choose(ctx, e, end)
		}
	}
	entries = b.judged(ctx, entries, end)
	b.settle(ctx, entries)
	settled := end - timeline.Minute((b.Settle+time.Minute-1)/time.Minute)
	for {
		due, from, to := next(entries, settled, end)
		if len(due) == 0 {
			return
		}
		b.advancePiece(ctx, due, piece{from, to, settled, end}, cycle)
	}
}

// piece is what is read at once, up to which slots settle, and up to where all is read.
type piece struct{ from, to, settled, end timeline.Minute }

// advancePiece reads a piece, and counts it.
func (b *Reader) advancePiece(ctx context.Context, due []*Read, p piece, cycle bool) {
	ctx, done := b.Share(ctx)
	defer done()
	r, err := b.readFor(ctx, due, p.from, p.to, stepOf(due, p.from, p.to, p.settled))
	switch {
	case err != nil && p.from < p.settled && backend.TooMuch(err, p.to-p.from) && (!cycle || !backend.TookLong(err)):
		for _, e := range due {
			e.Record.Piece = (p.to - p.from) / 2
		}
		return
	case err != nil:
		for _, e := range due {
			e.Err = OwnError(e.Record.Plan, err)
		}
		return
	}
	for _, e := range due {
		e.Record.adapt(r.samples(), p.to-p.from, b.MaxSamples)
		e.Done = p.to == p.end
		if e.Err = b.takeSafely(ctx, e, r, p.settled); errors.Is(e.Err, errRespelled) {
			e.Err, e.Done = nil, false // it is read again
		}
	}
	b.settle(ctx, due)
}

// readFor asks what entries ask about (from, to].
func (b *Reader) readFor(ctx context.Context, due []*Read, from, to, step timeline.Minute) (*batch, error) {
	var queries []plan.Query
	paces := map[paceRange][]gauges.Pace{}
	for _, e := range due {
		if err := b.pace(ctx, e, from, to, paces); err != nil {
			return nil, err
		}
		queries = append(queries, e.Record.queries()...)
	}
	return b.read(ctx, queries, from, to, step)
}

// stepOf is the step at which values are asked for: in a cycle only the slot that
// settles and the newest one are, for those between were, a minute ago.
func stepOf(due []*Read, from, to, settled timeline.Minute) timeline.Minute {
	if from+1 != settled || to-settled < 2 {
		return 1
	}
	for _, e := range due {
		for i, m := range e.Record.Plan.Inputs {
			if m.Queries[0].Way == plan.SlotValues && e.Record.Inputs[i].asked != to-1 {
				return 1
			}
		}
	}
	return to - settled
}

// next are the entries that go on together, and the piece (from, to] that they
// read: what is behind first, then all that is not settled at once.
func next(entries []*Read, settled, end timeline.Minute) (due []*Read, from, to timeline.Minute) {
	from, to = end, end
	for _, e := range entries {
		if e.Err == nil && !e.Done {
			from = min(from, e.Record.Settled)
		}
	}
	if from < settled {
		for _, e := range entries {
			if e.Err == nil && !e.Done && e.Record.Settled == from {
				to = min(to, from+e.Record.Piece)
			}
		}
	}
	for _, e := range entries {
		if e.Err == nil && !e.Done && (e.Record.Settled < to || to == end) {
			due = append(due, e)
		}
	}
	return due, from, to
}

// takeSafely takes, so that what fails for one entry fails for no other.
func (b *Reader) takeSafely(ctx context.Context, e *Read, r *batch, settled timeline.Minute) (err error) {
	defer func() {
		if _, is := errors.AsType[backend.FaultError](err); is {
			e.fail(err)
		}
	}()
	defer b.Rescue(&err)
	return b.take(ctx, e, r, settled)
}

// fail ends a reading in the middle of its book, which nobody can go on with.
func (e *Read) fail(err error) {
	e.Err, e.Record.Broken = err, err
}

// take counts what a reading brought, up to settled for good. The last reading
// of an advance holds the slots behind that too.
func (b *Reader) take(ctx context.Context, e *Read, r *batch, settled timeline.Minute) error {
	k := e.Record
	batches, err := b.batches(ctx, e, r)
	if err != nil {
		return err
	}
	begun, err := b.begun(ctx, e, r, batches, settled)
	if err != nil {
		return err
	}
	if e.Done {
		if err := b.contradicted(e); err != nil {
			return err
		}
	}
	b.findTwins(ctx, e, r, batches, settled)
	k.meet(batches)
	k.lose(batches)
	k.tried = nil
	from := max(k.Settled, k.Timeline.Start())
	e.before = k.Timeline.Slots(from)
	k.Timeline.Truncate(from)
	if e.Done {
		for i := range k.Inputs {
			settled = min(settled, k.Inputs[i].Counting.Hold(batches[i], r.to, settled))
		}
	}
	at := k.Settled
	if upTo := min(r.to, settled); upTo > at {
		if e.whole != nil { // its rulings of all that settles; those of latest reach back an hour only
			e.follow(k.Inputs, e.whole.Record.Inputs)
		}
		for i := range k.Inputs {
			counters.GiveStarts(k.Inputs[i].Counting, begun)
		}
		k.pending = feed(e.Record.Plan, k.Inputs, batches, at, upTo)
		at = upTo
	}
	if e.Done && r.to > at {
		e.parts = cloned(k.Inputs)
		if e.whole != nil {
			e.follow(e.parts, e.whole.latest())
		}
		e.trial = feed(e.Record.Plan, e.parts, batches, at, r.to)
	}
	return nil
}

// feed counts the samples of (from, to] of each part.
func feed(l *plan.Plan, parts []InputState, batches [][]counting.RawSeries, from, to timeline.Minute) []*counting.Events {
	found := make([]*counting.Events, len(parts))
	for i := range parts {
		found[i] = parts[i].Counting.Feed(batches[i], from, to)
		if l.Witness != nil && l.Inputs[i].Fresh != nil { // counters tell more
			l.Witness.Values(batches[i], from, to)
		}
	}
	return found
}

// latest are the parts that the last reading led to.
func (e *Read) latest() []InputState {
	if e.parts != nil {
		return e.parts
	}
	return e.Record.Inputs
}

// settle proves what was counted, of all entries at once, and takes it into their
// timelines.
func (b *Reader) settle(ctx context.Context, entries []*Read) {
	var proofs []proof
	for _, e := range entries {
		if e.judges && e.Record.pending != nil {
			found := e.Record.pending
			e.Record.Settled, e.Record.pending, e.trial = found[0].From+timeline.Minute(len(found[0].Known)), nil, nil
		}
		if e.Err == nil && !e.judges {
			start := e.Record.Timeline.Start()
			proofs = append(proofs, proof{e.Record.pending, start}, proof{e.trial, start})
		}
	}
	err := b.prove(ctx, proofs)
	for _, e := range entries {
		switch {
		case e.judges:
			e.trial = nil
		case e.Err == nil && err == nil:
			b.keep(e)
		case e.Err == nil && (e.Record.pending != nil || e.trial != nil):
			e.Err = err
		}
		e.trial, e.parts, e.before = nil, nil, nil
	}
}

// keep takes what was counted and proven into an entry's timeline.
func (b *Reader) keep(e *Read) {
	k := e.Record
	from := max(k.Settled, k.Timeline.Start())
	if found := k.pending; found != nil {
		k.apply(found, k.Recent, found[0].From+timeline.Minute(len(found[0].Known)))
		noteNewest(k.Inputs, found)
		before := k.Settled
		k.pending, k.Settled = nil, found[0].From+timeline.Minute(len(found[0].Known))
		k.closeHours(before, found)
		if k.Recent != nil {
			k.Recent.trim(e.Record.Plan)
		}
		if e.Read != nil {
			e.Read(k.Settled - before)
		}
		for _, f := range found {
			k.Undecided = k.Undecided.Plus(f.Undecided)
			if k.Settled > k.Timeline.Start() {
				b.Counted.births.WithLabelValues("counted").Add(float64(f.Births))
				b.Counted.births.WithLabelValues("ambiguous").Add(float64(f.Ambiguous))
			}
		}
	}
	k.Timeline.SetSampleInterval(k.seldom())
	if found := e.trial; found != nil {
		k.Unsettled = nil
		for _, f := range found {
			k.Unsettled = k.Unsettled.Plus(f.Undecided)
		}
		record := k.Recent.clone()
		k.apply(found, record, k.Settled)
		noteNewest(k.Inputs, found)
		if slices.ContainsFunc(found, func(f *counting.Events) bool { return f.Newest != 0 }) {
			k.tried = &checkpoint{found[0].From + timeline.Minute(len(found[0].Known)), e.parts, record}
		}
	}
	for i, was := range e.before {
		is := k.Timeline.Sum(from+timeline.Minute(i), from+timeline.Minute(i)+1)
		if e.Done && (is.Total != was.Total || is.Bad != was.Bad) {
			b.Counted.Late.WithLabelValues("settling").Inc()
		}
	}
}

// noteNewest notes until when parts have samples.
func noteNewest(parts []InputState, found []*counting.Events) {
	for i, f := range found {
		parts[i].Nan = max(parts[i].Nan, f.NewestNaN)
		parts[i].Newest, parts[i].alive = max(parts[i].Newest, f.Newest), max(parts[i].alive, f.AliveUntil)
	}
}

// usual is how many slots behind the last known one may still become known when
// they are settled: a sample makes those of two scrapes before it known. What is
// evaluated is known at once.
func (k *Record) usual() timeline.Minute {
	longest := int64(0)
	for i, m := range k.Plan.Inputs {
		if m.Queries[0].Way != plan.SlotValues {
			longest = max(longest, k.Inputs[i].Counting.Interval())
		}
	}
	return max(timeline.Minute((2*longest+longest/10)/60_000)-k.Plan.Settle, 0)
}

// apply takes what was found into the timeline, without what lies before it. Slots
// behind settled may change.
func (k *Record) apply(found []*counting.Events, r *recentSlots, settled timeline.Minute) {
	if r != nil {
		behind := r.end()
		for i, f := range found {
			for _, span := range f.KnownBefore {
				behind = min(behind, r.mark(i, span[0], span[1]))
			}
		}
		for i := range found[0].Known {
			all := make(plan.InputSlots, len(found))
			for j, f := range found {
				all[j] = f.Slot(i, k.Plan.Inputs[j].Counted)
			}
			r.slots = append(r.slots, all)
		}
		r.usual = k.usual()
		r.derive(k.Plan, k.Timeline, behind, settled)
		return
	}
	for _, span := range found[0].KnownBefore {
		k.Timeline.MarkKnown(span[0], span[1])
	}
	for i := range found[0].Known {
		if found[0].From+timeline.Minute(i) >= k.Timeline.End() {
			k.Timeline.Append(found[0].Slot(i, k.Plan.Inputs[0].Counted))
		}
	}
}

// adapt chooses how much to ask for next, by how much the last answer held.
func (k *Record) adapt(samples int, length timeline.Minute, limit int) {
	most := min(backend.AnswerSamples, limit)
	k.Piece = min(max(length*timeline.Minute(most)/timeline.Minute(samples+1), 1), k.Piece*4, MaxPiece)
}
