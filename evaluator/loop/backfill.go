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
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Goroutines read history while the cycles go on. First comes the newest part of every new
// job, so that pages are right within seconds, then the whole of it. Later they read again
// what late data may have changed. Each read fills a fresh record, which then replaces that
// of the job.

// stage says how much of the history a fresh record has.
type stage uint8

const (
	stageNewest stage = iota // the longest page window
	stageWhole
	stageReread // read before; late data may have changed it
)

// progress counts the minutes of history of all jobs.
type progress struct{ read, of atomic.Int64 }

// Progress returns the share of the history that is read, from 0 to 1.
func (l *Loop) Progress() float64 {
	of := l.progress.of.Load()
	if of == 0 {
		return 1
	}
	return min(1, float64(l.progress.read.Load())/float64(of))
}

// logProgressEvery is the time between two log lines about progress.
const logProgressEvery = 30 * time.Second

// logProgress logs how much history is read, if that takes long. A backend that can't be
// read has a log line of its own, and makes no progress.
func (st *state) logProgress() {
	share := st.Progress()
	switch {
	case share == 1 && st.progressLogged.IsZero():
		return
	case share == 1:
		done := st.progress.of.Load() // later reads count from zero
		st.progress.of.Add(-done)
		st.progress.read.Add(-done)
		st.progressLogged = time.Time{}
		st.Log.Info("All history is read")
	case st.progressLogged.IsZero():
		st.progressLogged, st.loggedShare = st.Now(), -1
	case st.Now().Sub(st.progressLogged) >= logProgressEvery && int(100*share) != st.loggedShare:
		st.progressLogged, st.loggedShare = st.Now(), int(100*share)
		st.Log.Info("Reading history", "percent", st.loggedShare)
	}
}

// readHistory starts to read the history of new jobs, and repeats it until it succeeds.
// The newest part of each job is tried before the whole of any.
func (st *state) readHistory(ctx context.Context, begun []*job) {
	l := st.Loop
	for _, b := range st.lanes {
		var first sync.WaitGroup
		for _, family := range families(b.of(slices.Values(begun))) {
			first.Add(1)
			st.read(ctx, family, func(ctx context.Context, take taker) {
				tried := sync.OnceFunc(first.Done)
				defer tried()
				l.readNew(ctx, family, stageNewest, func(span stage, read []history.Read) {
					tried()
					take(span, read)
				})
				tried()
				first.Wait()
				l.readNew(ctx, family, stageWhole, take)
			})
		}
	}
}

// taker takes records that were read, or the errors.
type taker func(span stage, read []history.Read)

// read starts to read history of a family, until every job of it is stopped.
func (st *state) read(ctx context.Context, family []*job, read func(context.Context, taker)) {
	own, done := stoppable(ctx, family)
	st.background(own, func(deliver func(func())) {
		defer done()
		read(own, func(span stage, read []history.Read) {
			deliver(func() { st.takeBackfill(ctx, span, read) })
		})
	})
}

// stoppable returns a context that ends when every job of a family is stopped.
func stoppable(ctx context.Context, family []*job) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	left := len(family)
	for _, j := range family {
		before := j.stop
		j.stop = func() {
			before()
			if left--; left == 0 {
				cancel()
			}
		}
	}
	return ctx, cancel
}

// readNew reads the history of a family's jobs into new records.
func (l *Loop) readNew(ctx context.Context, family []*job, span stage, take taker) {
	var entries []*history.Read
	for _, j := range family {
		if en := l.newEntry(j, span); en != nil {
			entries = append(entries, en)
		}
	}
	l.readEntries(ctx, family[0].lane, entries, span, take)
}

// readEntries reads records until all succeeded. It calls take after each try.
func (l *Loop) readEntries(ctx context.Context, b *lane, entries []*history.Read, span stage, take taker) {
	all, admission := slices.Clone(entries), b.slots[span]
	defer func() {
		for _, en := range all {
			finishProgress(en)
		}
	}()
	for pause := time.Second; len(entries) > 0 && ctx.Err() == nil && admit(ctx, admission); pause = min(2*pause, time.Minute) {
		end := l.newestEnd()
		for _, en := range entries {
			end = max(end, en.Record.Settled)
		}
		b.Advance(ctx, entries, end, false)
		if span != stageNewest { // which is shown at once
			l.catchUp(ctx, b, entries, end)
		}
		<-admission             // others go first while this one pauses
		var read []history.Read // as they are now: those that failed are read again
		for _, en := range entries {
			read = append(read, *en)
		}
		take(span, read)
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

// catchUp reads the slots that became due while the history up to end was read. A cycle
// has read them already, and its numbers are not replaced by older ones.
func (l *Loop) catchUp(ctx context.Context, b *lane, entries []*history.Read, end timeline.Minute) {
	now := l.newestEnd()
	if now <= end {
		return
	}
	var read []*history.Read
	for _, en := range entries {
		if en.Err == nil {
			read = append(read, en)
		}
	}
	b.Advance(ctx, read, now, false)
	for _, en := range read {
		if !errors.Is(en.Err, backend.ErrPartial) && en.Record.Broken == nil {
			en.Err = nil // the record ends with its last final slot, where the next cycle continues
		}
	}
}

// newEntry returns an empty record for a stage, or one from the cache for the whole. It
// returns nil for the newest part if the whole history is not much longer, or cached.
func (l *Loop) newEntry(j *job, span stage) *history.Read {
	end := l.newestEnd()
	if span != stageNewest {
		return l.wholeEntry(j, end)
	}
	if j.restored = l.restore(j, end); j.restored != nil || 4*j.recent >= j.History {
		return nil
	}
	return history.NewRead(func() *history.Record { return history.NewRecord(j.Plan, end.Add(-j.recent), j.NewestLeadIn()) })
}

// wholeEntry returns an empty record for all of a job's history before end. Reading it
// counts as progress.
func (l *Loop) wholeEntry(j *job, end timeline.Minute) *history.Read {
	en := history.NewRead(func() *history.Record { return history.NewRecord(j.Plan, end.Add(-j.History), j.LeadIn) })
	if j.restored != nil {
		en.Record = j.restored.Record
		fresh := en.Restart
		en.Restart = func() *history.Record {
			if en.Record.Broken == nil { // otherwise a fault broke it, and may again
				if s := l.restore(j, end); s != nil {
					return s.Record
				}
			}
			return fresh()
		}
	}
	j.left.Store(int64(end - en.Record.Settled))
	l.progress.of.Add(j.left.Load())
	en.Progress = func(minutes timeline.Minute) {
		step := min(int64(minutes), j.left.Load())
		l.progress.read.Add(step)
		j.left.Add(-step)
	}
	return en
}

// finishProgress counts all of an entry as read.
func finishProgress(en *history.Read) {
	if en.Progress != nil {
		en.Progress(math.MaxInt32)
	}
}

// takeBackfill takes what was read: records and errors.
func (st *state) takeBackfill(ctx context.Context, span stage, read []history.Read) {
	st.unpublished = true
	for _, en := range read {
		j := st.jobOf(en.Record.Plan)
		if j == nil {
			continue
		}
		if en.Err != nil {
			st.failBackfill(j, en.Err)
			continue
		}
		b := j.lane
		if b.down != nil { // it is not any more
			b.down = nil
			st.logBackend(b)
		}
		if span == stageNewest && j.record != nil {
			continue // all of it came first
		}
		j.fresh, j.freshStage = en.Record, span
		st.showFresh(ctx, j)
	}
}

// showFresh replaces a job's record by the fresh one and evaluates it, if that is as new
// as what is published and no cycle is under way. Otherwise the end of the cycle does,
// or the next one.
func (st *state) showFresh(ctx context.Context, j *job) {
	if j.fresh == nil || j.record != nil && (j.lane.busy || j.fresh.Timeline.End() < j.record.Timeline.End()) {
		return
	}
	st.replaceRecord(j)
	for _, t := range st.byJob[j] {
		st.logFailure(t, nil)
	}
	j.setResult(nil)
	st.evaluateAll(j, j.record.Timeline.End())
	st.regroup(ctx, j)
}

// failBackfill shows why a job's history is not read.
func (st *state) failBackfill(j *job, err error) {
	own := backend.Refused(err) || st.hasAnswered(j.lane)
	for _, t := range st.byJob[j] {
		if j.record == nil {
			t.status.State, t.status.StateReason = evaluator.StateQueryFailed, err.Error()
		}
		if own && !j.rereading {
			st.logFailure(t, err)
		}
	}
	if !own {
		j.lane.down = err
		st.logBackend(j.lane)
	}
}

// hasAnswered reports whether a backend answered recently, as far as its jobs show.
func (st *state) hasAnswered(b *lane) bool {
	return b.down == nil && slices.ContainsFunc(st.jobsOf(b), func(j *job) bool { return j.record != nil })
}

// replaceRecord replaces a job's record by the fresh one. No cycle may be under way.
func (st *state) replaceRecord(j *job) {
	if j.fresh == nil {
		return
	}
	if j.freshStage != stageNewest {
		j.search.plan(j, st.end)
		defer j.endReads()
		if j.record != nil && !history.KeepOld(j.fresh, j.record) && !j.newestOnly {
			j.fresh = nil // the newest samples are lost, so that counting would not go on rightly
			return
		}
		j.fresh.Recent.EndReread()
	}
	changed := 0
	if j.record != nil && j.freshStage != stageNewest && !j.newestOnly {
		c := timeline.Comparison{Old: j.record.Timeline, Next: j.fresh.Timeline, Coarse: timeline.Quarter, Fine: 1}
		changed = c.Differences(j.record.Timeline.Start(), min(j.record.Settled, j.fresh.Settled))
		j.lane.Metrics.Late.WithLabelValues("reread").Add(float64(changed))
	}
	for _, t := range st.byJob[j] {
		cut := j.readingCuts && t.inexact
		if st.NewJudge != nil && (j.newestOnly || changed > 0 || cut) {
			t.rejudged = !j.newestOnly && !cut
			t.judge = st.NewJudge()
		}
	}
	st.takeRestored(j)
	j.record, j.fresh, j.newestOnly = j.fresh, nil, j.freshStage == stageNewest
	if j.freshStage != stageNewest && j.record.Checkpoint == nil {
		j.record.SaveCheckpoint()
	}
}

// endReads stops reading a job's history.
func (j *job) endReads() {
	j.stop()
	j.stop, j.rereading, j.readingCuts = func() {}, false, false
}

// rereadAfter is the time between two rereads of a job's newest history.
const rereadAfter = 24 * time.Hour

// maxRereads bounds how many jobs of a backend wait for a reread. Each holds a copy of
// its timeline.
const maxRereads = 100

// rereadOld starts to read again what a backend's jobs counted since their last reread,
// if that was a day ago. Each family has its own hour, so that not all come at once.
func (st *state) rereadOld(ctx context.Context, b *lane) {
	if b.busy {
		return
	}
	jobs := st.jobsOf(b)
	waiting := 0
	for _, j := range jobs {
		if j.rereading {
			waiting++
		}
	}
	for _, family := range families(jobs) {
		if waiting >= maxRereads {
			return
		}
		after := spread(family[0].Inputs[0].ClockText(), 6*60)
		waiting += st.reread(ctx, family, rereadEntry, func(j *job) bool {
			return j.fresh == nil && !j.search.waits(j, st.end) && j.record.Settled >= j.record.Checkpoint.Settled.Add(rereadAfter)+after
		})
	}
}

// reread starts to read history of those jobs of a family again that are due and not being
// read. It returns their number.
func (st *state) reread(ctx context.Context, family []*job, entry func(*job) *history.Read, due func(*job) bool) int {
	var jobs []*job
	var entries []*history.Read
	for _, j := range family {
		if j.complete() && !j.rereading && due(j) {
			j.rereading = true
			jobs, entries = append(jobs, j), append(entries, entry(j))
		}
	}
	if len(jobs) == 0 {
		return 0
	}
	l := st.Loop
	st.read(ctx, jobs, func(ctx context.Context, take taker) {
		l.readEntries(ctx, jobs[0].lane, entries, stageReread, take)
	})
	return len(jobs)
}

// rereadEntry returns a record to read again what a job counted since its last reread.
func rereadEntry(j *job) *history.Read {
	before := *j.record
	before.Timeline, before.Kept = before.Timeline.Clone(), slices.Clone(before.Kept) // the rest does not change in place
	return history.NewRead(before.Reread)
}

// spread returns a number of minutes below n that differs between texts.
func spread(text string, n timeline.Minute) timeline.Minute {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text)) // never fails
	return timeline.Minute(h.Sum32() % uint32(n))
}

// rereadAll starts to read the whole history of all jobs again.
func (st *state) rereadAll(ctx context.Context) {
	n := 0
	for _, b := range st.lanes {
		for _, family := range families(st.jobsOf(b)) {
			n += st.rereadWhole(ctx, family, rereadOptions{})
		}
	}
	if n == 0 {
		st.Log.Info("No history is read again: all is being read")
		return
	}
	st.Log.Info("All history is read again", "counted", n)
}

// rereadOptions say why a whole history is read again.
type rereadOptions struct {
	sums bool // to count in sums of targets
	cuts bool // for slots that exclusions cut; past periods stay
}

// rereadWhole starts to read the whole history of a family again, except jobs that are
// being read. It returns the number of jobs.
func (st *state) rereadWhole(ctx context.Context, family []*job, o rereadOptions) int {
	return st.reread(ctx, family, func(j *job) *history.Read {
		j.readingCuts = o.cuts
		for _, p := range j.endedPeriods {
			if !o.cuts {
				p.Reset()
			}
		}
		from, outgrown := st.newestEnd().Add(-j.History), j.record.Outgrown || o.sums
		return history.NewRead(func() *history.Record { return history.NewWholeRecord(j.Plan, from, outgrown) })
	}, func(*job) bool { return true })
}

// rereadOutgrown starts to read again, in sums of targets, those jobs that have too many
// series to read them one by one, and those that a fault broke.
func (st *state) rereadOutgrown(ctx context.Context, jobs []*job) {
	for _, j := range jobs {
		if st.jobs[j.Key] != j || j.rereading || j.record.Broken == nil && !j.record.Outgrown {
			continue
		}
		if j.record.Broken == nil {
			st.Log.Warn("An SLO has too many series to read them one by one, its history is read again in sums of targets",
				"slo_id", st.byJob[j][0].slo.ID(), "backend", j.lane.Name, "max_series", j.lane.MaxSeries)
		}
		st.rereadWhole(ctx, []*job{j}, rereadOptions{})
	}
}
