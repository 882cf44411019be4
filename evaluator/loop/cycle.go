package loop

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// cycle evaluates a backend's jobs at an instant. The jobs belong to it until it ends.
type cycle struct {
	backend *lane
	jobs    []*job // its own until it ends
	end     timeline.Minute
	begin   time.Time
	down    error      // why there was no answer at all; nil if there was one
	stale   *time.Time // as a backend's

	broken   atomic.Int32          // queries in a row without an answer
	answered atomic.Bool           // some were
	fault    atomic.Pointer[error] // the last that was no refusal of one query
}

// begin starts a cycle for each backend that has none under way. So a backend that hangs
// delays no other.
func (st *state) begin(ctx context.Context, end timeline.Minute) {
	st.end = end
	for _, b := range st.lanes {
		if b.busy {
			continue
		}
		c := &cycle{backend: b, end: end, begin: st.Now(), down: b.down}
		for _, j := range st.jobsOf(b) {
			st.replaceRecord(j)
			if j.record != nil && j.retry <= end {
				c.jobs = append(c.jobs, j)
			}
		}
		b.busy = true
		st.background(ctx, func(deliver func(func())) {
			b.Safely(func() { c.run(ctx) })
			if ctx.Err() == nil { // else its errors are those of the end
				deliver(func() { st.finish(ctx, c) })
			}
		})
	}
}

// finish evaluates what a cycle read, and publishes.
func (st *state) finish(ctx context.Context, c *cycle) {
	b := c.backend
	b.busy, b.down, b.stale = false, c.down, c.stale
	st.logBackend(b)
	for _, j := range c.jobs {
		if st.jobs[j.Key] != j {
			continue // it was left meanwhile
		}
		for _, t := range st.byJob[j] {
			st.logFailure(t, j.err)
			if j.err != nil {
				t.fail(j.err)
			}
		}
		if j.err == nil {
			st.evaluateAll(j, c.end)
			for _, t := range st.byJob[j] {
				st.logDoubts(t)
			}
			st.regroup(ctx, j)
		}
	}
	for _, j := range st.jobsOf(b) {
		if j.err == nil || j.fresh != nil && j.fresh.Timeline.End() >= c.end {
			st.showFresh(ctx, j)
		}
	}
	st.publish()
	st.metrics.cycles.Observe(st.Now().Sub(c.begin).Seconds())
	st.rereadOutgrown(ctx, c.jobs)
	st.rereadOld(ctx, b)
	st.readCuts(ctx, b)
	st.readPeriods(ctx, b, c.end)
	st.audit(ctx, b, c.jobs)
	st.searchLost(ctx, b, c.end)
	st.logKept(b)
	st.saveDue(ctx, b, c.end)
}

// idle waits for the cycles that are under way. It reports false if ctx ends before.
func (st *state) idle(ctx context.Context) bool {
	return st.await(ctx, func() bool { return !slices.ContainsFunc(st.lanes, func(b *lane) bool { return b.busy }) })
}

// families groups jobs that are read together, because the same query shows whether they
// have data. They are in the order of their first job.
func families(jobs []*job) [][]*job {
	at := map[string]int{} // of a text, the family
	var out [][]*job
	for _, j := range jobs {
		home := len(out)
		out = append(out, []*job{j})
		for _, m := range j.Inputs {
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
		for _, m := range j.Inputs {
			at[m.ClockText()] = home
		}
	}
	return slices.DeleteFunc(out, func(f []*job) bool { return f == nil })
}

// maxBroken is the number of failures in a row after which a cycle gives up on a
// backend.
const maxBroken = 3

// run advances the jobs. A backend that was down gets one query first, and the others
// only if that one is answered.
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
	var all errgroup.Group
	all.SetLimit(b.MaxConcurrency)
	for _, family := range due {
		all.Go(func() error {
			c.advance(ctx, family) // the jobs have their errors
			return nil
		})
	}
	_ = all.Wait()
	b.NewStarts.Release()
	c.down = nil
	if err := c.fault.Load(); err != nil && !c.answered.Load() {
		c.down = *err
	}
	well := c.down == nil && c.broken.Load() < maxBroken
	for _, j := range c.jobs {
		if j.err != nil && (well || backend.Refused(j.err)) {
			j.backOff(c.end)
		}
	}
	if c.down == nil {
		c.stale = findSymptoms(ctx, b.Reader, c.jobs, c.end)
	}
}

// findSymptoms finds whether the whole backend lags, and else why jobs have no data. It
// returns the time of the newest sample of a backend that lags.
func findSymptoms(ctx context.Context, b *history.Reader, jobs []*job, end timeline.Minute) (stale *time.Time) {
	if slices.ContainsFunc(jobs, func(j *job) bool { return j.err == nil && j.record.Silent(end) != nil }) {
		stale = newestUp(ctx, b, end)
	}
	if stale == nil {
		findAbsences(ctx, b, jobs, end)
		findSpellings(ctx, b, jobs, end)
	}
	return stale
}

// advance advances a family, unless the cycle gave up on its backend.
func (c *cycle) advance(ctx context.Context, family []*job) {
	if c.broken.Load() >= maxBroken {
		for _, j := range family {
			j.setResult(history.OwnError(j.Plan, *c.fault.Load()))
		}
		return
	}
	entries := make([]*history.Read, len(family))
	for i, j := range family {
		defer j.hold()()
		entries[i] = &history.Read{Record: j.record}
	}
	c.backend.Advance(ctx, entries, c.end, true)
	for i, e := range entries {
		family[i].setResult(e.Err)
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

// newestUp finds whether the whole backend lags: it has no sample of up in the last 5
// min, though every Prometheus writes one at each scrape, but had some in the last day.
// It returns the time of the newest, to 5 min.
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

// publish makes a report of all SLOs that are followed.
func (st *state) publish() {
	r := &evaluator.Report{Format: 1, EvaluatedAt: st.end.Time(), SLOs: make([]evaluator.Status, 0, len(st.followed)), Problems: append(slices.Clone(st.problems), leftOutProblems(st.followed)...), Backends: st.backendInfos(), Retired: st.retiredIDs()}
	for _, t := range st.followed {
		r.SLOs = append(r.SLOs, t.status)
	}
	slices.SortFunc(r.SLOs, func(a, b evaluator.Status) int { return cmp.Compare(a.ID, b.ID) })
	if st.Alerts != nil {
		st.Alerts(r)
	}
	st.report.Store(r)
	st.published, st.unpublished = st.Now(), false
	if st.Publish != nil {
		st.Publish(r)
	}
}

// logFailure logs when an SLO's query begins to fail and when it succeeds again. A
// failure of the whole backend is logged once, by logBackend.
func (st *state) logFailure(t *followed, err error) {
	b := t.job.lane
	failing := err != nil && (b.down == nil || backend.Refused(err))
	switch {
	case failing && !t.logged:
		st.Log.Warn("SLO can't be evaluated", "slo_id", t.slo.ID(), "backend", b.Name, "err", err)
	case err == nil && t.logged:
		st.Log.Info("SLO is evaluated again", "slo_id", t.slo.ID(), "backend", b.Name)
	}
	t.logged = failing || err != nil && t.logged
}

// logBackend logs when a backend gives no answers any more and when it does again.
func (st *state) logBackend(b *lane) {
	down := b.down != nil
	if down == b.loggedDown {
		return
	}
	b.loggedDown = down
	if down {
		b.Forget()
	}
	state, reason, up := evaluator.StateWarming, readingHistory, 1.0
	if down {
		state, reason, up = evaluator.StateQueryFailed, b.down.Error(), 0
		st.Log.Error("Backend can't be read", "backend", b.Name, "err", b.down)
	} else {
		st.Log.Info("Backend can be read again", "backend", b.Name)
	}
	st.metrics.up.WithLabelValues(b.Name).Set(up)
	for _, t := range st.followed {
		if t.job.lane == b && t.job.record == nil && !t.logged {
			t.status.State, t.status.StateReason = state, reason
		}
	}
}
