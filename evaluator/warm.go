package evaluator

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What is read beside the cycles: first the newest part of the history of every
// new ledger, so that what pages is right within seconds, then the whole of it,
// and later again what late data may have changed. Each reading fills a book of
// its own, which the loop then takes over.

// span is how much of its history a ledger's new book holds.
type span uint8

const (
	newest span = iota // the longest page window
	whole
	again  // read before; late data may have changed it
	single // some quarters of an hour, whose slots exclusions need
)

// warmth is what a round of reading brought: books, or why not yet.
type warmth struct {
	span    span
	entries []*entry
}

// progress is how much history is read, in minutes of all jobs.
type progress struct{ read, of atomic.Int64 }

// Progress is the share of the history that is read, from 0 to 1.
func (e *Evaluator) Progress() float64 {
	of := e.progress.of.Load()
	if of == 0 {
		return 1
	}
	return min(1, float64(e.progress.read.Load())/float64(of))
}

// noteEvery is the time between two words of the log about progress.
const noteEvery = 30 * time.Second

// noteProgress logs how much history is read, when that takes long. What can't be
// read has its own word of the log, and makes no progress.
func (e *Evaluator) noteProgress() {
	share := e.Progress()
	switch {
	case share == 1 && e.noted.IsZero():
		return
	case share == 1:
		done := e.progress.of.Load() // what comes is counted from nothing
		e.progress.of.Add(-done)
		e.progress.read.Add(-done)
		e.noted = time.Time{}
		e.Log.Info("All history is read")
	case e.noted.IsZero():
		e.noted, e.notedShare = e.Now(), -1
	case e.Now().Sub(e.noted) >= noteEvery && int(100*share) != e.notedShare:
		e.noted, e.notedShare = e.Now(), int(100*share)
		e.Log.Info("Reading history", "percent", e.notedShare)
	}
}

// newestLeadIn is what is read before the newest part, in minutes.
const newestLeadIn = 60

// newestLeadIn is what a ledger reads before its newest part. What counts as bad
// for days when it is gone needs all of them.
func (l *plan) newestLeadIn() Minute {
	if l.leadIn > leadIn {
		return l.leadIn
	}
	return newestLeadIn
}

// readHistory reads the history of new jobs beside the loop, again and again
// until it succeeds. Nobody's whole history is read before everybody's newest
// part was tried.
func (e *Evaluator) readHistory(ctx context.Context, begun []*job) {
	for _, b := range e.backends {
		var first sync.WaitGroup
		var mine []*job
		for _, l := range begun {
			if l.lane == b {
				mine = append(mine, l)
			}
		}
		for _, family := range families(mine) {
			ctx, done := e.stoppable(ctx, family)
			first.Add(1)
			e.started.Go(func() {
				defer done()
				tried := sync.OnceFunc(first.Done)
				defer tried()
				e.readNew(ctx, family, newest, tried)
				tried()
				first.Wait()
				e.readNew(ctx, family, whole, func() {})
			})
		}
	}
}

// stoppable makes a context that ends when every ledger of a family is stopped.
func (e *Evaluator) stoppable(ctx context.Context, family []*job) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	left := len(family)
	for _, l := range family {
		before := l.stop
		l.stop = func() {
			before()
			if left--; left == 0 {
				cancel()
			}
		}
	}
	return ctx, cancel
}

// readNew reads new books of a family's jobs.
func (e *Evaluator) readNew(ctx context.Context, family []*job, span span, tried func()) {
	var entries []*entry
	for _, l := range family {
		if en := e.newEntry(l, span); en != nil {
			entries = append(entries, en)
		}
	}
	e.readEntries(ctx, family[0].lane, entries, span, tried)
}

// readEntries reads the books of a family's jobs until it has all of them;
// tried is called after each try.
func (e *Evaluator) readEntries(ctx context.Context, b *lane, entries []*entry, span span, tried func()) {
	if len(entries) == 0 {
		return
	}
	all, admission := slices.Clone(entries), b.places(span)
	defer func() {
		for _, en := range all {
			finish(en)
		}
	}()
	for pause := time.Second; len(entries) > 0 && admit(ctx, admission); pause = min(2*pause, time.Minute) {
		end := e.behindNow()
		for _, en := range entries {
			if en.done = false; (errors.Is(en.err, errPartial) || en.book.broken != nil) && en.fresh != nil {
				en.book = en.fresh() // what it holds may be a part
			}
			end = max(end, en.book.settled)
		}
		b.advance(ctx, entries, end, false)
		<-admission // others go first while this one pauses
		tried()
		select {
		case e.warmed <- warmth{span, copied(entries)}:
		case <-ctx.Done():
			return
		}
		after := pause
		entries = slices.DeleteFunc(entries, func(en *entry) bool {
			after = max(after, min(retryAfter(en.err), maxRetryAfter))
			return en.err == nil || span == newest && refused(en.err) // which all of it may not be
		})
		if len(entries) > 0 {
			wait(ctx, after)
		}
	}
}

// copied are entries as they are now: those that failed are read again while the
// loop looks at them.
func copied(entries []*entry) []*entry {
	out := make([]*entry, len(entries))
	for i, en := range entries {
		c := *en
		out[i] = &c
	}
	return out
}

// maxRetryAfter bounds how long a backend may ask to be left alone.
const maxRetryAfter = 10 * time.Minute

// newEntry makes the book that a reading of a span fills, or nil when the whole
// history is not much longer.
func (e *Evaluator) newEntry(l *job, span span) *entry {
	end := e.behindNow()
	if span == newest {
		if 4*l.recent >= l.history {
			return nil
		}
		fresh := func() *book { return newBook(l.plan, end.Add(-l.recent), l.newestLeadIn()) }
		return &entry{book: fresh(), fresh: fresh}
	}
	return e.wholeEntry(l, end)
}

// wholeEntry makes an empty book for all of a ledger's history before end, whose
// filling counts as progress.
func (e *Evaluator) wholeEntry(l *job, end Minute) *entry {
	fresh := func() *book { return newBook(l.plan, end.Add(-l.history), l.leadIn) }
	k := fresh()
	left := int64(end - k.settled)
	e.progress.of.Add(left)
	l.left.Store(left)
	return &entry{book: k, fresh: fresh, read: func(minutes Minute) {
		step := min(int64(minutes), left)
		left -= step
		e.progress.read.Add(step)
		l.left.Store(left)
	}}
}

// finish tells that nothing is left to read.
func finish(en *entry) {
	if en.read != nil {
		en.read(math.MaxInt32)
	}
}

// warmUp takes over what a round of reading brought.
func (e *Evaluator) warmUp(ctx context.Context, w warmth) {
	if w.span == single {
		e.takeCuts(w.entries)
		return
	}
	for _, en := range w.entries {
		l := e.jobOf(en.book.plan)
		if l == nil {
			continue
		}
		if en.err != nil {
			e.notWarm(l, en.err)
			continue
		}
		b := l.lane
		if b.down != nil { // it is not any more
			b.down = nil
			e.noteBackend(b)
		}
		if w.span == newest && l.book != nil {
			continue // all of it came first
		}
		l.next, l.nextSpan = en.book, w.span
		// The instant of a book that was read for long may lie before what is
		// published. The next cycle brings it up to date.
		if l.book == nil || !b.busy && en.book.timeline.End() >= l.book.timeline.End() {
			e.takeOver(l)
			for _, t := range e.byJob[l] {
				e.note(t, nil)
			}
			l.settle(nil)
			e.evaluateAll(l, l.book.timeline.End())
			e.regroup(ctx, l)
		}
	}
}

// notWarm shows why a ledger's history is not read.
func (e *Evaluator) notWarm(l *job, err error) {
	own := refused(err) || e.answers(l.lane)
	for _, t := range e.byJob[l] {
		if l.book == nil {
			t.status.State, t.status.StateReason = StateQueryFailed, err.Error()
		}
		if own && !l.rereading {
			e.note(t, err)
		}
	}
	if !own {
		l.lane.down = err
		e.noteBackend(l.lane)
	}
}

// answers reports whether a backend answered of late, as far as its jobs
// that are read can tell.
func (e *Evaluator) answers(b *lane) bool {
	if b.down != nil {
		return false
	}
	for _, l := range e.jobs {
		if l.lane == b && l.book != nil {
			return true
		}
	}
	return false
}

// takeOver puts a book that was read in the place of the old one. No cycle may
// be under way.
func (e *Evaluator) takeOver(l *job) {
	if l.next == nil {
		return
	}
	if l.nextSpan != newest {
		l.look.plan(l, e.end)
		defer l.release()
		if l.book != nil && !keepOld(l.next, l.book) && !l.preview {
			l.next = nil // the newest samples are lost, so that counting would not go on rightly
			return
		}
		l.next.record.reread()
	}
	changed := 0
	if l.book != nil && l.nextSpan != newest && !l.preview {
		changed = l.book.timeline.Differs(l.next.timeline, l.book.timeline.Start(), min(l.book.settled, l.next.settled))
		l.lane.counted.late.WithLabelValues("reread").Add(float64(changed))
	}
	for _, t := range e.byJob[l] {
		if e.NewJudge != nil && (l.preview || changed > 0 || t.undated) {
			t.rejudged = !l.preview && !t.undated
			t.judge, t.undated = e.NewJudge(), false
		}
	}
	l.book, l.next, l.preview = l.next, nil, l.nextSpan == newest
	if l.nextSpan != newest {
		l.book.remember()
	}
}

// release ends what reads a ledger's history.
func (l *job) release() {
	l.stop()
	l.stop, l.rereading, l.cutting = func() {}, false, false
}

// rereadAfter is the time between two rereads of a ledger's newest history.
const rereadAfter = 24 * time.Hour

// maxRereads is how many jobs of a backend wait for a reread at a time; each
// holds a copy of its timeline.
const maxRereads = 100

// rereadOld reads again what a backend's jobs counted since their last
// reread, when that is a day ago, one family after the other. Each has an hour of
// its own, so that not all come at once.
func (e *Evaluator) rereadOld(ctx context.Context, b *lane) {
	if b.busy {
		return
	}
	jobs := e.jobsOf(b)
	waiting := 0
	for _, l := range jobs {
		if l.rereading {
			waiting++
		}
	}
	for _, family := range families(jobs) {
		var due []*job
		var entries []*entry
		for _, l := range family {
			if waiting >= maxRereads || l.book == nil || l.preview || l.rereading || l.next != nil || l.look.waits(l, e.end) ||
				l.book.settled < l.book.past.settled.Add(rereadAfter)+spread(family) {
				continue
			}
			l.rereading = true
			due, entries = append(due, l), append(entries, rereadEntry(l))
		}
		if len(due) == 0 {
			continue
		}
		waiting += len(due)
		ctx, done := e.stoppable(ctx, due)
		e.started.Go(func() {
			defer done()
			e.readEntries(ctx, b, entries, again, func() {})
		})
	}
}

// rereadEntry reads again what a ledger counted since its last reread.
func rereadEntry(l *job) *entry {
	en := &entry{book: l.book.reread()}
	if id, known := l.lane.known(); known && id.kind == kindThanos { // of others nobody knows that a part is missing
		before := l.book.reread()
		en.fresh = before.clone
	}
	return en
}

// spread is when in the hours after a day a family is read again, in minutes.
func spread(family []*job) Minute {
	h := fnv.New32a()
	_, _ = h.Write([]byte(family[0].meters[0].clockText())) // never fails
	return Minute(h.Sum32() % (6 * 60))
}

// rereadAll reads the whole history of all jobs again.
func (e *Evaluator) rereadAll(ctx context.Context) {
	n := 0
	for _, b := range e.backends {
		for _, family := range families(e.jobsOf(b)) {
			n += e.rereadWhole(ctx, family)
		}
	}
	if n == 0 {
		e.Log.Info("No history is read again: all is being read")
		return
	}
	e.Log.Info("All history is read again", "counted", n)
}

// rereadWhole reads the whole history of a family again, beside what goes on, but
// of those that are being read. It tells how many that are.
func (e *Evaluator) rereadWhole(ctx context.Context, family []*job) int {
	var entries []*entry
	for _, l := range family {
		if l.book == nil || l.preview || l.rereading {
			continue
		}
		l.rereading = true
		for _, p := range l.ended {
			p.again()
		}
		from, outgrown := e.behindNow().Add(-l.history), l.book.outgrown
		fresh := func() *book { return wholeBook(l.plan, from, outgrown) }
		en := &entry{book: fresh(), fresh: fresh}
		entries = append(entries, en)
	}
	if len(entries) > 0 {
		ctx, done := e.stoppable(ctx, family)
		e.started.Go(func() {
			defer done()
			e.readEntries(ctx, family[0].lane, entries, again, func() {})
		})
	}
	return len(entries)
}

// wholeBook makes an empty book of a ledger, which is counted in sums when it has
// outgrown others.
func wholeBook(l *plan, from Minute, outgrown bool) *book {
	k := newBook(l, from, l.leadIn)
	for i := range k.parts {
		if outgrown && l.meters[i].fresh == nil {
			k.parts[i].method = MethodAggregated
		}
	}
	return k
}

// rereadOutgrown reads anew, in sums, what a cycle found to have more series than
// may be read raw, and what a fault left in the middle.
func (e *Evaluator) rereadOutgrown(ctx context.Context, jobs []*job) {
	for _, l := range jobs {
		if e.jobs[l.key] == l && l.book.broken != nil && !l.rereading {
			e.rereadWhole(ctx, []*job{l})
		}
		if e.jobs[l.key] == l && l.book.outgrown && !l.rereading {
			e.Log.Warn("An SLO has too many series to read them one by one, its history is read anew in sums of targets",
				"slo_id", e.byJob[l][0].slo.ID(), "backend", l.lane.Name, "max_series", l.lane.MaxSeries)
			e.rereadWhole(ctx, []*job{l})
		}
	}
}
