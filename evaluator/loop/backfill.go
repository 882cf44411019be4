package loop

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// What is read beside the cycles: first the newest part of the history of every
// new ledger, so that what pages is right within seconds, then the whole of it,
// and later again what late data may have changed. Each reading fills a book of
// its own, which the loop then takes over.

// stage is how much of its history a ledger's new book holds.
type stage uint8

const (
	stageNewest stage = iota // the longest page window
	stageWhole
	stageAgain // read before; late data may have changed it
)

// historyRead is what a round of reading brought: books, or why not yet.
type historyRead struct {
	span    stage
	entries []*history.Read
}

// progress is how much history is read, in minutes of all jobs.
type progress struct{ read, of atomic.Int64 }

// Progress is the share of the history that is read, from 0 to 1.
func (e *Loop) Progress() float64 {
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
func (e *Loop) noteProgress() {
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

// readHistory reads the history of new jobs beside the loop, again and again
// until it succeeds. Nobody's whole history is read before everybody's newest
// part was tried.
func (e *Loop) readHistory(ctx context.Context, begun []*job) {
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
				e.readNew(ctx, family, stageNewest, tried)
				tried()
				first.Wait()
				e.readNew(ctx, family, stageWhole, func() {})
			})
		}
	}
}

// stoppable makes a context that ends when every ledger of a family is stopped.
func (e *Loop) stoppable(ctx context.Context, family []*job) (context.Context, context.CancelFunc) {
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
func (e *Loop) readNew(ctx context.Context, family []*job, span stage, tried func()) {
	var entries []*history.Read
	for _, l := range family {
		if en := e.newEntry(l, span); en != nil {
			entries = append(entries, en)
		}
	}
	e.readEntries(ctx, family[0].lane, entries, span, tried)
}

// readEntries reads the books of a family's jobs until it has all of them;
// tried is called after each try.
func (e *Loop) readEntries(ctx context.Context, b *lane, entries []*history.Read, span stage, tried func()) {
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
			if en.Done = false; (errors.Is(en.Err, backend.ErrPartial) || en.Record.Broken != nil) && en.Restart != nil {
				en.Record = en.Restart() // what it holds may be a part
			}
			end = max(end, en.Record.Settled)
		}
		b.Advance(ctx, entries, end, false)
		if span != stageNewest { // which is shown at once
			e.catchUp(ctx, b, entries, end)
		}
		<-admission // others go first while this one pauses
		tried()
		select {
		case e.warmed <- historyRead{span, copied(entries)}:
		case <-ctx.Done():
			return
		}
		after := pause
		entries = slices.DeleteFunc(entries, func(en *history.Read) bool {
			after = max(after, min(backend.RetryAfter(en.Err), backend.MaxRetryAfter))
			return en.Err == nil || span == stageNewest && backend.Refused(en.Err) // which all of it may not be
		})
		if len(entries) > 0 {
			backend.Wait(ctx, after)
		}
	}
}

// catchUp reads the slots that became due while a history up to end was read. A cycle
// has them already, and its numbers are not replaced by older ones.
func (e *Loop) catchUp(ctx context.Context, b *lane, entries []*history.Read, end timeline.Minute) {
	now := e.behindNow()
	if now <= end {
		return
	}
	var read []*history.Read
	for _, en := range entries {
		if en.Err == nil {
			en.Done = false
			read = append(read, en)
		}
	}
	b.Advance(ctx, read, now, false)
}

// copied are entries as they are now: those that failed are read again while the
// loop looks at them.
func copied(entries []*history.Read) []*history.Read {
	out := make([]*history.Read, len(entries))
	for i, en := range entries {
		c := *en
		out[i] = &c
	}
	return out
}

// newEntry makes the book that a reading of a span fills, or nil when the whole
// history is not much longer.
func (e *Loop) newEntry(l *job, span stage) *history.Read {
	end := e.behindNow()
	if span == stageNewest {
		if 4*l.recent >= l.History {
			return nil
		}
		fresh := func() *history.Record { return history.NewRecord(l.Plan, end.Add(-l.recent), l.NewestLeadIn()) }
		return &history.Read{Record: fresh(), Restart: fresh}
	}
	return e.wholeEntry(l, end)
}

// wholeEntry makes an empty book for all of a ledger's history before end, whose
// filling counts as progress.
func (e *Loop) wholeEntry(l *job, end timeline.Minute) *history.Read {
	fresh := func() *history.Record { return history.NewRecord(l.Plan, end.Add(-l.History), l.LeadIn) }
	k := fresh()
	left := int64(end - k.Settled)
	e.progress.of.Add(left)
	l.left.Store(left)
	return &history.Read{Record: k, Restart: fresh, Progress: func(minutes timeline.Minute) {
		step := min(int64(minutes), left)
		left -= step
		e.progress.read.Add(step)
		l.left.Store(left)
	}}
}

// finish tells that nothing is left to read.
func finish(en *history.Read) {
	if en.Progress != nil {
		en.Progress(math.MaxInt32)
	}
}

// warmUp takes over what a round of reading brought.
func (e *Loop) warmUp(ctx context.Context, w historyRead) {
	for _, en := range w.entries {
		l := e.jobOf(en.Record.Plan)
		if l == nil {
			continue
		}
		if en.Err != nil {
			e.notWarm(l, en.Err)
			continue
		}
		b := l.lane
		if b.down != nil { // it is not any more
			b.down = nil
			e.noteBackend(b)
		}
		if w.span == stageNewest && l.book != nil {
			continue // all of it came first
		}
		l.next, l.nextSpan = en.Record, w.span
		e.showNext(ctx, l)
	}
}

// showNext evaluates a job's history that was read, if it is as new as what is published
// and no cycle is under way. Otherwise the end of the cycle, or the next one, does.
func (e *Loop) showNext(ctx context.Context, l *job) {
	if l.next == nil || l.book != nil && (l.lane.busy || l.next.Timeline.End() < l.book.Timeline.End()) {
		return
	}
	e.takeOver(l)
	for _, t := range e.byJob[l] {
		e.note(t, nil)
	}
	l.settle(nil)
	e.evaluateAll(l, l.book.Timeline.End())
	e.regroup(ctx, l)
}

// notWarm shows why a ledger's history is not read.
func (e *Loop) notWarm(l *job, err error) {
	own := backend.Refused(err) || e.answers(l.lane)
	for _, t := range e.byJob[l] {
		if l.book == nil {
			t.status.State, t.status.StateReason = evaluator.StateQueryFailed, err.Error()
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
func (e *Loop) answers(b *lane) bool {
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
func (e *Loop) takeOver(l *job) {
	if l.next == nil {
		return
	}
	if l.nextSpan != stageNewest {
		l.look.plan(l, e.end)
		defer l.release()
		if l.book != nil && !history.KeepOld(l.next, l.book) && !l.preview {
			l.next = nil // the newest samples are lost, so that counting would not go on rightly
			return
		}
		l.next.Recent.EndReread()
	}
	changed := 0
	if l.book != nil && l.nextSpan != stageNewest && !l.preview {
		changed = l.book.Timeline.CountDifferences(l.next.Timeline, l.book.Timeline.Start(), min(l.book.Settled, l.next.Settled))
		l.lane.Metrics.Late.WithLabelValues("reread").Add(float64(changed))
	}
	for _, t := range e.byJob[l] {
		if e.NewJudge != nil && (l.preview || changed > 0 || t.inexact) {
			t.rejudged = !l.preview && !t.inexact
			t.judge = e.NewJudge()
		}
	}
	l.book, l.next, l.preview = l.next, nil, l.nextSpan == stageNewest
	if l.nextSpan != stageNewest {
		l.book.SaveCheckpoint()
	}
}

// release ends what reads a ledger's history.
func (l *job) release() {
	l.stop()
	l.stop, l.rereading = func() {}, false
}

// rereadAfter is the time between two rereads of a ledger's newest history.
const rereadAfter = 24 * time.Hour

// maxRereads is how many jobs of a backend wait for a reread at a time; each
// holds a copy of its timeline.
const maxRereads = 100

// rereadOld reads again what a backend's jobs counted since their last
// reread, when that is a day ago, one family after the other. Each has an hour of
// its own, so that not all come at once.
func (e *Loop) rereadOld(ctx context.Context, b *lane) {
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
		var entries []*history.Read
		for _, l := range family {
			if waiting >= maxRereads || l.book == nil || l.preview || l.rereading || l.next != nil || l.look.waits(l, e.end) ||
				l.book.Settled < l.book.Checkpoint.Settled.Add(rereadAfter)+spread(family) {
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
			e.readEntries(ctx, b, entries, stageAgain, func() {})
		})
	}
}

// rereadEntry reads again what a ledger counted since its last reread.
func rereadEntry(l *job) *history.Read {
	en := &history.Read{Record: l.book.Reread()}
	if id, known := l.lane.Identity(); known && id.Kind == backend.KindThanos { // of others nobody knows that a part is missing
		before := l.book.Reread()
		en.Restart = before.Clone
	}
	return en
}

// spread is when in the hours after a day a family is read again, in minutes.
func spread(family []*job) timeline.Minute {
	h := fnv.New32a()
	_, _ = h.Write([]byte(family[0].Inputs[0].ClockText())) // never fails
	return timeline.Minute(h.Sum32() % (6 * 60))
}

// rereadAll reads the whole history of all jobs again.
func (e *Loop) rereadAll(ctx context.Context) {
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
func (e *Loop) rereadWhole(ctx context.Context, family []*job) int {
	var entries []*history.Read
	for _, l := range family {
		if l.book == nil || l.preview || l.rereading {
			continue
		}
		l.rereading = true
		for _, p := range l.ended {
			p.Reset()
		}
		from, outgrown := e.behindNow().Add(-l.History), l.book.Outgrown
		fresh := func() *history.Record { return wholeBook(l.Plan, from, outgrown) }
		en := &history.Read{Record: fresh(), Restart: fresh}
		entries = append(entries, en)
	}
	if len(entries) > 0 {
		ctx, done := e.stoppable(ctx, family)
		e.started.Go(func() {
			defer done()
			e.readEntries(ctx, family[0].lane, entries, stageAgain, func() {})
		})
	}
	return len(entries)
}

// wholeBook makes an empty book of a ledger, which is counted in sums when it has
// outgrown others.
func wholeBook(l *plan.Plan, from timeline.Minute, outgrown bool) *history.Record {
	k := history.NewRecord(l, from, l.LeadIn)
	for i := range k.Inputs {
		if outgrown && l.Inputs[i].NewMethod == nil {
			k.Inputs[i].Method = evaluator.MethodAggregated
		}
	}
	return k
}

// rereadOutgrown reads anew, in sums, what a cycle found to have more series than
// may be read raw, and what a fault left in the middle.
func (e *Loop) rereadOutgrown(ctx context.Context, jobs []*job) {
	for _, l := range jobs {
		if e.jobs[l.Key] == l && l.book.Broken != nil && !l.rereading {
			e.rereadWhole(ctx, []*job{l})
		}
		if e.jobs[l.Key] == l && l.book.Outgrown && !l.rereading {
			e.Log.Warn("An SLO has too many series to read them one by one, its history is read anew in sums of targets",
				"slo_id", e.byJob[l][0].slo.ID(), "backend", l.lane.Name, "max_series", l.lane.MaxSeries)
			e.rereadWhole(ctx, []*job{l})
		}
	}
}
