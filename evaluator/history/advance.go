package history

import (
	"cmp"
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

// Read is one advance of a Record, and its result.
type Read struct {
	Record *Record
	Err    error
	done   bool // up to the end

	Restart func() *Record     // returns the Record as it was before any read; nil if it is not reread
	trial   []*counting.Events // events of each input after the settled slots; nil for none
	inputs  []InputState       // the states after trial
	before  []timeline.Sum     // the slots that are counted again, before that

	judges bool  // the Read only makes rulings for groups
	whole  *Read // the Read that judges for this one; nil for none

	Progress func(minutes timeline.Minute) // called with the number of minutes that were read; nil for no calls
}

// NewRead returns a Read of a new Record.
func NewRead(record func() *Record) *Read { return &Read{Record: record(), Restart: record} }

// Advance reads and counts the slots of several Records up to end. Slots up to end-settle
// become final, unless samples are late. The others are counted again next time. settle
// is whole minutes, rounded up. After an error the timeline ends with the last final
// slot, and the next call continues there. In a cycle, a query that took too long is not
// tried again.
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
		e.begin()
		from = min(from, e.Record.Settled)
	}
	missing := func() bool {
		err := b.Missing(ctx, func() (out []slo.Selector) {
			for _, e := range entries {
				out = append(out, e.Record.Plan.Selectors()...)
			}
			return out
		}, from, end, cycle)
		for _, e := range entries {
			e.Err = cmp.Or(err, e.Err)
		}
		return err != nil
	}
	if missing() {
		return
	}
	b.advanceWhole(ctx, entries, end, cycle)
	if !cycle {
		missing()
	}
}

// begin prepares for an Advance. A Record that may hold a part of what there was, or that
// is broken, is made again.
func (e *Read) begin() {
	if (errors.Is(e.Err, backend.ErrPartial) || e.Record.Broken != nil) && e.Restart != nil {
		e.Record = e.Restart()
	}
	e.done = false
}

// advanceWhole does the work of Advance for a backend without missing stores.
func (b *Reader) advanceWhole(ctx context.Context, entries []*Read, end timeline.Minute, cycle bool) {
	for _, e := range entries {
		e.Err = e.Record.Broken
		if e.Err == nil {
			e.Err = b.choose(ctx, e, end)
		}
	}
	entries = b.withJudges(ctx, entries, end)
	settled := end - timeline.Minute((b.Settle+time.Minute-1)/time.Minute)
	for {
		due, from, to := nextPiece(entries, settled, end)
		if len(due) == 0 {
			return
		}
		read := b.advancePiece(ctx, due, piece{from, to, settled, end}, cycle)
		for !cycle && read > 0 && b.budget.WaitN(ctx, min(read, b.budget.Burst())) == nil {
			read -= b.budget.Burst()
		}
	}
}

// piece is a time (from, to] to read at once. Slots up to settled become final, and end
// is the end of the whole read.
type piece struct{ from, to, settled, end timeline.Minute }

// advancePiece reads a piece and counts it. It returns the number of samples.
func (b *Reader) advancePiece(ctx context.Context, due []*Read, p piece, cycle bool) int {
	ctx, done := b.Share(ctx)
	defer done()
	r, err := b.readFor(ctx, due, p.from, p.to, stepOf(due, p.from, p.to, p.settled))
	switch {
	case err != nil && p.from < p.settled && backend.TooMuch(err, p.to-p.from) && (!cycle || !backend.TookLong(err)):
		for _, e := range due {
			e.Record.Piece = (p.to - p.from) / 2
		}
		return 0
	case err != nil:
		for _, e := range due {
			e.Err = OwnError(e.Record.Plan, err)
		}
		return 0
	}
	for _, e := range due {
		e.Record.adapt(r.samples(), p.to-p.from, b.MaxSamples)
		e.done = p.to == p.end
		e.Err = b.countSafely(ctx, e, r, p.settled)
		if errors.Is(e.Err, errRespelled) {
			e.Err, e.done = nil, false // it is read again
		}
	}
	b.resolve(ctx, due)
	return r.samples()
}

// readFor sends the queries of several Reads about (from, to].
func (b *Reader) readFor(ctx context.Context, due []*Read, from, to, step timeline.Minute) (*round, error) {
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

// stepOf returns the step between queried values. In a cycle only the slot that settles
// and the newest one are queried, because the slots between were queried a minute ago.
func stepOf(due []*Read, from, to, settled timeline.Minute) timeline.Minute {
	if from+1 != settled || to-settled < 2 {
		return 1
	}
	for _, e := range due {
		for i, m := range e.Record.Plan.Inputs {
			if m.Queries[0].Way == plan.SlotValues && e.Record.Inputs[i].queriedUntil != to-1 {
				return 1
			}
		}
	}
	return to - settled
}

// nextPiece returns the Reads that continue together, and their next piece (from, to].
// The oldest slots come first, then all that are not settled at once.
func nextPiece(entries []*Read, settled, end timeline.Minute) (due []*Read, from, to timeline.Minute) {
	open := slices.DeleteFunc(slices.Clone(entries), func(e *Read) bool { return e.Err != nil || e.done })
	from, to = end, end
	for _, e := range open {
		from = min(from, e.Record.Settled)
	}
	for _, e := range open {
		if from < settled && e.Record.Settled == from {
			to = min(to, from+e.Record.Piece)
		}
	}
	for _, e := range open {
		if e.Record.Settled < to || to == end {
			due = append(due, e)
		}
	}
	return due, from, to
}

// countSafely counts a batch. If that panics for one Read, the others continue.
func (b *Reader) countSafely(ctx context.Context, e *Read, r *round, settled timeline.Minute) (err error) {
	defer func() {
		if _, is := errors.AsType[backend.FaultError](err); is {
			e.fail(err)
		}
	}()
	defer b.Rescue(&err)
	return b.count(ctx, e, r, settled)
}

// fail stops a Read in the middle of its Record, which can't be continued.
func (e *Read) fail(err error) {
	e.Err, e.Record.Broken = err, err
}

// count counts a batch. Slots up to settled are final. The last batch of an advance also
// counts the slots after them.
func (b *Reader) count(ctx context.Context, e *Read, r *round, settled timeline.Minute) error {
	record := e.Record
	batches, err := b.batches(ctx, e, r)
	if err != nil {
		return err
	}
	begun, err := b.startsFor(ctx, e, r, batches, settled)
	if err != nil {
		return err
	}
	if e.done {
		if err := b.checkExpected(e); err != nil {
			return err
		}
	}
	b.findTwins(ctx, e, r, batches, settled)
	record.noteGroups(batches)
	record.acceptLost(batches)
	record.unsettled = nil
	from := max(record.Settled, record.Timeline.Start())
	e.before = record.Timeline.Slots(from)
	record.Timeline.Truncate(from)
	if e.done {
		for i := range record.Inputs {
			settled = min(settled, record.Inputs[i].Counting.Hold(batches[i], r.to, settled))
		}
	}
	at := record.Settled
	if upTo := min(r.to, settled); upTo > at {
		if e.whole != nil { // the rulings of all that settles; those of latest go back an hour only
			e.follow(record.Inputs, e.whole.Record.Inputs)
		}
		for i := range record.Inputs {
			if e.whole == nil { // else the whole judges
				counters.GiveStarts(record.Inputs[i].Counting, begun)
			}
		}
		b.settle(e, feed(e.Record.Plan, record.Inputs, batches, at, upTo), begun)
		at = upTo
	}
	if e.done && r.to > at {
		e.inputs = cloneInputs(record.Inputs)
		if e.whole != nil {
			e.follow(e.inputs, e.whole.latest())
		}
		e.trial = feed(e.Record.Plan, e.inputs, batches, at, r.to)
	}
	return nil
}

// feed counts the samples of (from, to] for each input.
func feed(p *plan.Plan, inputs []InputState, batches [][]counting.RawSeries, from, to timeline.Minute) []*counting.Events {
	found := make([]*counting.Events, len(inputs))
	for i := range inputs {
		found[i] = inputs[i].Counting.Feed(batches[i], from, to)
		if p.Recorder != nil && p.Inputs[i].NewMethod != nil { // counters record themselves
			p.Recorder.Values(batches[i], from, to)
		}
	}
	return found
}

// latest returns the states after the last batch.
func (e *Read) latest() []InputState {
	if e.inputs != nil {
		return e.inputs
	}
	return e.Record.Inputs
}

// settle stores the events of settled slots in the timeline of a Read. The start times
// are those of all their targets.
func (b *Reader) settle(e *Read, found []*counting.Events, begun counting.Starts) {
	record, before := e.Record, e.Record.Settled
	record.Settled = found[0].From + timeline.Minute(len(found[0].Known))
	if e.judges {
		return
	}
	for _, f := range found {
		for _, c := range f.Unproven {
			if !c.Answered {
				c.Began = nearestStart(begun[c.Raw.Target], c.At)
			}
			if timeline.SlotEnd(c.At) > record.Timeline.Start() {
				f.Resolve(c)
			}
		}
	}
	record.apply(found, record.Recent, record.Settled)
	noteNewest(record.Inputs, found)
	record.closeHours(before, found)
	if record.Recent != nil {
		record.Recent.trim(record.Plan)
	}
	if e.Progress != nil {
		e.Progress(record.Settled - before)
	}
	for _, f := range found {
		record.Undecided = record.Undecided.Plus(f.Undecided)
		if record.Settled > record.Timeline.Start() {
			b.Metrics.births.WithLabelValues("counted").Add(float64(f.Births))
			b.Metrics.births.WithLabelValues("ambiguous").Add(float64(f.Ambiguous))
		}
	}
}

// resolve decides the unproven events of the newest slots of all Reads at once, and stores
// these in their timelines.
func (b *Reader) resolve(ctx context.Context, entries []*Read) {
	var claims []*counting.Unproven
	for _, e := range entries {
		for _, f := range e.trial {
			for i := range f.Unproven {
				if c := &f.Unproven[i]; e.Err == nil && !e.judges && !c.Answered && timeline.SlotEnd(c.At) > e.Record.Timeline.Start() {
					claims = append(claims, c)
				}
			}
		}
	}
	err := b.findStarts(ctx, claims)
	for _, e := range entries {
		switch {
		case e.judges || e.Err != nil:
		case e.trial != nil && err != nil:
			e.Err = err
		default:
			b.keep(e)
		}
		e.trial = nil
		e.inputs = nil
		e.before = nil
	}
}

// keep stores the newest slots of a Read in its timeline.
func (b *Reader) keep(e *Read) {
	record := e.Record
	record.Timeline.SetSampleInterval(record.longInterval())
	if found := e.trial; found != nil {
		record.Unsettled = nil
		for _, f := range found {
			for _, c := range f.Unproven {
				if timeline.SlotEnd(c.At) > record.Timeline.Start() {
					f.Resolve(c)
				}
			}
			record.Unsettled = record.Unsettled.Plus(f.Undecided)
		}
		recent := record.Recent.clone()
		record.apply(found, recent, record.Settled)
		noteNewest(record.Inputs, found)
		if slices.ContainsFunc(found, func(f *counting.Events) bool { return f.Newest != 0 }) {
			record.unsettled = &checkpoint{found[0].From + timeline.Minute(len(found[0].Known)), e.inputs, recent}
		}
	}
	for _, was := range e.before {
		is := record.Timeline.Sum(was.Start, was.End)
		if e.done && (is.Total != was.Total || is.Bad != was.Bad) {
			b.Metrics.Late.WithLabelValues("settling").Inc()
		}
	}
}

// noteNewest stores the times of the newest samples.
func noteNewest(inputs []InputState, found []*counting.Events) {
	for i, f := range found {
		inputs[i].NewestNaN = max(inputs[i].NewestNaN, f.NewestNaN)
		inputs[i].Newest, inputs[i].aliveUntil = max(inputs[i].Newest, f.Newest), max(inputs[i].aliveUntil, f.AliveUntil)
	}
}

// waiting returns how many settled slots after the last known one may still become known.
// A sample makes the slots of two scrapes before it known. Evaluated values are known at
// once.
func (r *Record) waiting() timeline.Minute {
	longest := int64(0)
	for i, m := range r.Plan.Inputs {
		if m.Queries[0].Way != plan.SlotValues {
			longest = max(longest, r.Inputs[i].Counting.Interval())
		}
	}
	return max(timeline.Minute(timeline.TwoIntervals(longest)/60_000)-r.Plan.Settle, 0)
}

// apply stores events in the timeline. Slots after settled may change.
func (r *Record) apply(found []*counting.Events, recent *recentSlots, settled timeline.Minute) {
	if recent != nil {
		after := recent.end()
		for i, f := range found {
			for _, span := range f.KnownBefore {
				after = min(after, recent.mark(i, span[0], span[1]))
			}
		}
		for i := range found[0].Known {
			all := make(plan.InputSlots, len(found))
			for j, f := range found {
				all[j] = f.Slot(i, r.Plan.Inputs[j].Counted)
			}
			recent.slots = append(recent.slots, all)
		}
		recent.usual = r.waiting()
		recent.combine(r.Plan, r.Timeline, after, settled)
		return
	}
	for _, span := range found[0].KnownBefore {
		r.Timeline.MarkKnown(span[0], span[1])
	}
	for i := range found[0].Known {
		if found[0].From+timeline.Minute(i) >= r.Timeline.End() {
			r.Timeline.Append(found[0].Slot(i, r.Plan.Inputs[0].Counted))
		}
	}
}

// adapt chooses the length of the next piece, by the number of samples in the last
// answer.
func (r *Record) adapt(samples int, length timeline.Minute, limit int) {
	most := min(backend.AnswerSamples, limit)
	r.Piece = min(max(length*timeline.Minute(most)/timeline.Minute(samples+1), 1), r.Piece*4, MaxPiece)
}
