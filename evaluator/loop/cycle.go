package loop

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// cycle is the evaluation of a backend's jobs at an instant.
type cycle struct {
	backend *lane
	jobs    []*job // its own until it ends
	end     timeline.Minute
	begin   time.Time
	down    error      // why there was no answer at all, before and behind it
	stale   *time.Time // as a backend's

	broken   atomic.Int32          // queries in a row without an answer
	answered atomic.Bool           // some were
	fault    atomic.Pointer[error] // the last that was no refusal of one query
}

// begin starts a cycle of each backend that has none under way: one that hangs
// keeps no other waiting.
func (e *Loop) begin(ctx context.Context, end timeline.Minute) {
	e.end = end
	for _, b := range e.backends {
		if b.busy {
			continue
		}
		c := &cycle{backend: b, end: end, begin: e.Now(), down: b.down}
		for _, l := range e.jobs {
			if l.lane != b {
				continue
			}
			e.takeOver(l)
			if l.book != nil && l.retry <= end {
				c.jobs = append(c.jobs, l)
			}
		}
		slices.SortFunc(c.jobs, func(x, y *job) int { return cmp.Compare(x.Key, y.Key) })
		b.busy = true
		e.started.Go(func() {
			b.Safely(func() { c.run(ctx) })
			if ctx.Err() != nil {
				return // what it found speaks of the end
			}
			select {
			case e.cycled <- c:
			case <-ctx.Done():
			}
		})
	}
}

// finish evaluates what a cycle read, and publishes.
func (e *Loop) finish(ctx context.Context, c *cycle) {
	b := c.backend
	b.busy, b.down, b.stale = false, c.down, c.stale
	e.noteBackend(b)
	for _, l := range c.jobs {
		if e.jobs[l.Key] != l {
			continue // it was left meanwhile
		}
		for _, t := range e.byJob[l] {
			e.note(t, l.err)
			if l.err != nil {
				t.fail(l.err)
			}
		}
		if l.err == nil {
			e.evaluateAll(l, c.end)
			for _, t := range e.byJob[l] {
				e.noteDoubts(t)
			}
			e.regroup(ctx, l)
		}
	}
	for _, l := range e.jobsOf(b) {
		e.showNext(ctx, l)
	}
	e.publish()
	e.metrics.cycles.Observe(e.Now().Sub(c.begin).Seconds())
	e.rereadOutgrown(ctx, c.jobs)
	e.rereadOld(ctx, b)
	e.readCuts(ctx, b)
	e.readPast(ctx, b, c.end)
	e.audit(ctx, b, c.jobs)
	e.lookForLost(ctx, b, c.end)
	e.noteKept(b)
}

// idle waits for the cycles that are under way. It reports false when ctx ends
// before.
func (e *Loop) idle(ctx context.Context) bool {
	for slices.ContainsFunc(e.backends, func(b *lane) bool { return b.busy }) {
		select {
		case c := <-e.cycled:
			e.finish(ctx, c)
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// families are the jobs that are read together, because what tells that they
// have data is the same, in the order of the first.
func families(jobs []*job) [][]*job {
	at := map[string]int{} // of a text, the family
	var out [][]*job
	for _, l := range jobs {
		home := len(out)
		out = append(out, []*job{l})
		for _, m := range l.Inputs {
			if i, ok := at[m.ClockText()]; ok && i != home {
				into, from := min(i, home), max(i, home)
				out[into], out[from] = append(out[into], out[from]...), nil
				for text, j := range at {
					if j == from {
						at[text] = into
					}
				}
				home = into
			}
		}
		for _, m := range l.Inputs {
			at[m.ClockText()] = home
		}
	}
	return slices.DeleteFunc(out, func(f []*job) bool { return f == nil })
}

// maxBroken is the number of failures that make a cycle give up on a backend.
const maxBroken = 3

// run advances the jobs. A backend that was down gets one query first, and
// the others only when that one is answered.
func (c *cycle) run(ctx context.Context) {
	b, due := c.backend, families(c.jobs)
	if len(due) == 0 {
		return
	}
	if c.down != nil {
		c.broken.Store(maxBroken - 1)
		c.advance(ctx, due[0])
		due = due[1:]
	}
	if c.broken.Load() < maxBroken {
		if err := b.NewStarts.Renew(ctx, b.Reader, c.end-timeline.Minutes(b.Settle)); err != nil {
			c.fault.Store(&err)
			c.broken.Add(1)
		}
	}
	queue := make(chan []*job)
	var wg sync.WaitGroup
	for range min(b.MaxConcurrency, len(due)) {
		wg.Go(func() {
			for family := range queue {
				c.advance(ctx, family)
			}
		})
	}
	for _, family := range due {
		queue <- family
	}
	close(queue)
	wg.Wait()
	b.NewStarts.Release()
	c.down = nil
	if err := c.fault.Load(); err != nil && !c.answered.Load() {
		c.down = *err
	}
	well := c.down == nil && c.broken.Load() < maxBroken
	for _, l := range c.jobs {
		if l.err != nil && (well || backend.Refused(l.err)) {
			l.backOff(c.end)
		}
	}
	if c.down == nil && slices.ContainsFunc(c.jobs, func(l *job) bool { return l.book.Silent(c.end) != nil }) {
		c.stale = newestUp(ctx, b.Reader, c.end)
	}
	if c.down == nil && c.stale == nil {
		findAbsences(ctx, b.Reader, c.jobs, c.end)
		findSpellings(ctx, b.Reader, c.jobs, c.end)
	}
}

// advance advances a family, unless the cycle gave up on its backend.
func (c *cycle) advance(ctx context.Context, family []*job) {
	if c.broken.Load() >= maxBroken {
		for _, l := range family {
			l.settle(history.OwnError(l.Plan, *c.fault.Load()))
		}
		return
	}
	entries := make([]*history.Read, len(family))
	for i, l := range family {
		l.changing.Lock()
		defer l.changing.Unlock()
		entries[i] = &history.Read{Record: l.book}
	}
	c.backend.Advance(ctx, entries, c.end, true)
	for i, e := range entries {
		family[i].settle(e.Err)
		if e.Err == nil || backend.Refused(e.Err) {
			c.answered.Store(true)
			c.broken.Store(0)
		} else if ctx.Err() == nil {
			c.fault.Store(&e.Err)
		}
	}
	if last := entries[len(entries)-1].Err; last != nil && !backend.Refused(last) && ctx.Err() == nil {
		c.broken.Add(1)
	}
}

// newestUp finds whether the whole backend lags: it has no sample of up, which
// every Prometheus writes at each scrape, within the lookback of 5 min, but
// had some in the last day. It returns the time of the newest, to 5 min.
func newestUp(ctx context.Context, b *history.Reader, end timeline.Minute) *time.Time {
	fresh, err := b.Query(ctx, "count(up)", end.Time())
	if err != nil || len(fresh) > 0 {
		return nil
	}
	answer, err := b.Query(ctx, "max(max_over_time(timestamp(up)[1d:5m]))", end.Time())
	if err != nil || len(answer) != 1 || len(answer[0].Samples) != 1 {
		return nil
	}
	newest := time.Unix(int64(answer[0].Samples[0].V), 0).UTC()
	return &newest
}

// publish makes a report of all tracks.
func (e *Loop) publish() {
	r := &evaluator.Report{Format: 1, EvaluatedAt: e.end.Time(), SLOs: make([]evaluator.Status, 0, len(e.tracks)), Problems: append(slices.Clone(e.problems), leftOut(e.tracks)...), Backends: e.backendInfos(), Retired: e.retiredIDs()}
	for _, t := range e.tracks {
		r.SLOs = append(r.SLOs, t.status)
	}
	slices.SortFunc(r.SLOs, func(a, b evaluator.Status) int { return cmp.Compare(a.ID, b.ID) })
	if e.Alerts != nil {
		e.Alerts(r)
	}
	e.report.Store(r)
	e.published, e.unpublished = e.Now(), false
	if e.Publish != nil {
		e.Publish(r)
	}
}

// note logs when an SLO's query begins to fail and when it is well again; one
// that fails with its whole backend is the backend's to tell.
func (e *Loop) note(t *followed, err error) {
	b := t.job.lane
	failing := err != nil && (b.down == nil || backend.Refused(err))
	switch {
	case failing && !t.told:
		e.Log.Warn("SLO can't be evaluated", "slo_id", t.slo.ID(), "backend", b.Name, "err", err)
	case err == nil && t.told:
		e.Log.Info("SLO is evaluated again", "slo_id", t.slo.ID(), "backend", b.Name)
	}
	t.told = failing || err != nil && t.told
}

// noteBackend logs when a backend begins to give no answers at all and when it
// is well again.
func (e *Loop) noteBackend(b *lane) {
	down := b.down != nil
	if down == b.told {
		return
	}
	b.told = down
	if down {
		b.Forget()
	}
	state, reason, up := evaluator.StateWarming, readingHistory, 1.0
	if down {
		state, reason, up = evaluator.StateQueryFailed, b.down.Error(), 0
		e.Log.Error("Backend can't be read", "backend", b.Name, "err", b.down)
	} else {
		e.Log.Info("Backend can be read again", "backend", b.Name)
	}
	e.metrics.up.WithLabelValues(b.Name).Set(up)
	for _, t := range e.tracks {
		if t.job.lane == b && t.job.book == nil && !t.told {
			t.status.State, t.status.StateReason = state, reason
		}
	}
}

// EvaluateAt evaluates SLOs once at an instant, or at the newest slot that
// should be complete when that is earlier. An SLO that can't be evaluated is in
// the state query_failed; only the end of ctx is an error.
func (e *Loop) EvaluateAt(ctx context.Context, slos []*slo.SLO, at time.Time) (*evaluator.Report, error) {
	e.end = min(timeline.MinuteOf(at), e.behindNow())
	evaluate := func(l *job) {
		if l.err == nil {
			e.evaluateAll(l, e.end) // and folds, while others are still read
		}
	}
	e.readOnce(ctx, slos, evaluate)
	var groups []*slo.SLO
	for _, s := range slos {
		t := e.tracks[s.ID()]
		of, leftOut := groupsOf(s, t.job)
		groups = append(groups, of...)
		t.leftOut = leftOut
	}
	e.readOnce(ctx, groups, evaluate)
	for _, s := range groups {
		e.tracks[s.Service+"/"+s.Name].groups[s.ID()] = e.tracks[s.ID()]
	}
	e.auditOnce(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	e.conclude(ctx)
	e.publish()
	return e.Report(), nil
}

// readOnce reads the whole history of SLOs. It calls read, for one at a time, when
// a ledger is read or has failed.
func (e *Loop) readOnce(ctx context.Context, slos []*slo.SLO, read func(*job)) {
	for _, s := range slos {
		t, l := e.newTrack(s)
		e.tracks[s.ID()] = t
		e.byJob[l] = append(e.byJob[l], t)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // of what belongs to the goroutine of Run
	for _, b := range e.backends {
		begun := slices.DeleteFunc(e.jobsOf(b), func(l *job) bool { return l.book != nil })
		for _, family := range families(begun) {
			var entries []*history.Read
			for _, l := range family {
				en := e.wholeEntry(l, e.end)
				l.book = en.Record
				entries = append(entries, en)
			}
			wg.Go(func() {
				if !admit(ctx, b.readers) {
					return
				}
				b.Advance(ctx, entries, e.end, false)
				<-b.readers
				mu.Lock()
				defer mu.Unlock()
				for i, en := range entries {
					finish(en)
					family[i].settle(en.Err)
					read(family[i])
				}
			})
		}
	}
	wg.Wait()
}

// conclude finds what is stale, and evaluates with that.
func (e *Loop) conclude(ctx context.Context) {
	for _, b := range e.backends {
		if slices.ContainsFunc(e.jobsOf(b), func(l *job) bool { return l.err == nil && l.book.Silent(e.end) != nil }) {
			b.stale = newestUp(ctx, b.Reader, e.end)
		}
		if b.stale == nil {
			findAbsences(ctx, b.Reader, e.jobsOf(b), e.end)
			findSpellings(ctx, b.Reader, e.jobsOf(b), e.end)
		}
		for _, l := range e.jobsOf(b) {
			for _, t := range e.byJob[l] {
				if l.err == nil {
					e.evaluate(t, e.end, t.status.Alerts) // it may be stale
					continue
				}
				s := t.spec(e.end)
				t.status = evaluator.NewStatus(s, b.Name)
				t.status.Compute(timeline.NewTimeline(e.end), e.end, e.Windows(s))
				t.fail(l.err)
			}
		}
	}
}
