package evaluator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// cycle is the evaluation of a backend's tracks at an instant.
type cycle struct {
	backend *backend
	tracks  []*track // its loop's until it ends
	end     Minute
	begin   time.Time
	down    error      // why there was no answer at all, before and behind it
	stale   *time.Time // as a backend's
}

// begin starts a cycle of each backend that has none under way: one that hangs
// keeps no other waiting.
func (e *Evaluator) begin(ctx context.Context, end Minute) {
	e.end = end
	for _, b := range e.backends {
		if b.busy {
			continue
		}
		c := &cycle{backend: b, end: end, begin: e.Now(), down: b.down}
		for _, t := range e.tracks {
			if t.warm && t.backend == b && t.retry <= end {
				c.tracks = append(c.tracks, t)
			}
		}
		slices.SortFunc(c.tracks, func(x, y *track) int { return cmp.Compare(x.slo.ID(), y.slo.ID()) })
		b.busy = true
		e.started.Go(func() {
			c.run(ctx)
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
func (e *Evaluator) finish(c *cycle) {
	b := c.backend
	b.busy, b.down, b.stale = false, c.down, c.stale
	e.noteBackend(b)
	for _, t := range c.tracks {
		e.note(t, t.err)
		e.evaluate(t, c.end)
	}
	e.publish()
	e.metrics.cycles.Observe(e.Now().Sub(c.begin).Seconds())
}

// idle waits for the cycles that are under way. It reports false when ctx ends
// before.
func (e *Evaluator) idle(ctx context.Context) bool {
	for slices.ContainsFunc(e.backends, func(b *backend) bool { return b.busy }) {
		select {
		case c := <-e.cycled:
			e.finish(c)
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// maxBroken is the number of failures that make a cycle give up on a backend.
const maxBroken = 3

// run advances the tracks. A backend that was down gets one query first, and
// the others only when that one is answered.
func (c *cycle) run(ctx context.Context) {
	b, due := c.backend, c.tracks
	if len(due) == 0 {
		return
	}
	var broken atomic.Int32
	var answered atomic.Bool
	var fault atomic.Pointer[error] // the last that was no refusal of one query
	advance := func(t *track) {
		var err error
		if broken.Load() >= maxBroken {
			err = *fault.Load() // the rest of the cycle is not asked
		} else if err = t.advance(ctx, c.end); err == nil || refused(err) {
			answered.Store(true)
			broken.Store(0)
		} else if ctx.Err() == nil {
			fault.Store(&err)
			broken.Add(1)
		}
		t.settle(err, c.end)
	}
	if c.down != nil {
		broken.Store(maxBroken - 1)
		advance(due[0])
		due = due[1:]
	}
	queue := make(chan *track)
	var wg sync.WaitGroup
	for range min(b.MaxConcurrency, len(due)) {
		wg.Go(func() {
			for t := range queue {
				advance(t)
			}
		})
	}
	for _, t := range due {
		queue <- t
	}
	close(queue)
	wg.Wait()
	c.down = nil
	if err := fault.Load(); err != nil && !answered.Load() {
		c.down = *err
	}
	if c.down == nil && slices.ContainsFunc(c.tracks, func(t *track) bool { return t.silent(c.end) }) {
		c.stale = b.probe(ctx, c.end)
	}
}

// probe finds whether the whole backend lags: it has no sample of up, which
// every Prometheus writes at each scrape, within the lookback of 5 min, but
// had some in the last day. It returns the time of the newest, to 5 min.
func (b *backend) probe(ctx context.Context, end Minute) *time.Time {
	fresh, err := b.query(ctx, "count(up)", end.Time())
	if err != nil || len(fresh) > 0 {
		return nil
	}
	answer, err := b.query(ctx, "max(max_over_time(timestamp(up)[1d:5m]))", end.Time())
	if err != nil || len(answer) != 1 || len(answer[0].samples) != 1 {
		return nil
	}
	newest := time.Unix(int64(answer[0].samples[0].v), 0).UTC()
	return &newest
}

// silent reports whether no samples came of late.
func (t *track) silent(end Minute) bool {
	return t.newest == 0 || end.Time().Sub(time.UnixMilli(t.newest)) > t.silence()
}

// evaluate computes a track's status from its timeline. When the last advance
// failed, the last good numbers stay.
func (e *Evaluator) evaluate(t *track, end Minute) {
	if t.err != nil {
		t.status.State, t.status.StateReason, t.status.StateSince = StateQueryFailed, t.err.Error(), nil
		if at := t.status.At; !at.IsZero() {
			t.status.StateSince = &at
		}
		return
	}
	t.status = newStatus(t.slo, t.backend.Name)
	t.status.At = end.Time()
	t.status.DataUntil = t.dataUntil()
	if t.judge != nil {
		t.status.Alerts = append(t.status.Alerts, t.judge(t.slo, t.timeline, t.settled)...)
	}
	t.age(e.history(t.slo)) // before the numbers, so that a process that starts now gives the same
	t.status.Compute(t.timeline, end, e.Windows(t.slo))
	longest := min(slo.Window(6*time.Hour), t.slo.Window)
	if e.PageWindow != nil {
		longest = e.PageWindow(t.slo)
	}
	state, reason, since := t.dataState(end, longest)
	if state == StateNoData && t.backend.stale != nil {
		state, reason, since = StateStale, "the backend has no newer samples of anything", t.backend.stale
	}
	t.status.State, t.status.StateReason, t.status.StateSince = state, reason, since
}

// publish makes a report of all tracks.
func (e *Evaluator) publish() {
	r := &Report{Format: 1, EvaluatedAt: e.end.Time(), SLOs: make([]Status, 0, len(e.tracks)), Problems: e.problems}
	for _, t := range e.tracks {
		r.SLOs = append(r.SLOs, t.status)
	}
	slices.SortFunc(r.SLOs, func(a, b Status) int { return cmp.Compare(a.ID, b.ID) })
	e.report.Store(r)
	if e.Publish != nil {
		e.Publish(r)
	}
}

// note logs when an SLO's query begins to fail and when it is well again; one
// that fails with its whole backend is the backend's to tell.
func (e *Evaluator) note(t *track, err error) {
	failing := err != nil && (t.backend.down == nil || refused(err))
	switch {
	case failing && !t.told:
		e.Log.Warn("SLO can't be evaluated", "slo_id", t.slo.ID(), "backend", t.backend.Name, "err", err)
	case err == nil && t.told:
		e.Log.Info("SLO is evaluated again", "slo_id", t.slo.ID(), "backend", t.backend.Name)
	}
	t.told = failing || err != nil && t.told
}

// noteBackend logs when a backend begins to give no answers at all and when it
// is well again.
func (e *Evaluator) noteBackend(b *backend) {
	down := b.down != nil
	if down == b.told {
		return
	}
	b.told = down
	state, reason, up := StateWarming, readingHistory, 1.0
	if down {
		state, reason, up = StateQueryFailed, b.down.Error(), 0
		e.Log.Error("Backend can't be read", "backend", b.Name, "err", b.down)
	} else {
		e.Log.Info("Backend can be read again", "backend", b.Name)
	}
	e.metrics.up.WithLabelValues(b.Name).Set(up)
	for _, t := range e.tracks {
		if t.backend == b && !t.warm && !t.told {
			t.status.State, t.status.StateReason = state, reason
		}
	}
}

// EvaluateAt evaluates SLOs once at an instant, or at the newest slot that
// should be complete when that is earlier. An SLO that can't be evaluated is in
// the state query_failed; only the end of ctx is an error.
func (e *Evaluator) EvaluateAt(ctx context.Context, slos []*slo.SLO, at time.Time) (*Report, error) {
	e.end = min(MinuteOf(at), e.behindNow())
	var wg sync.WaitGroup
	for _, s := range slos {
		t := e.newTrack(s, e.backendOf(s))
		e.tracks[s.ID()] = t
		wg.Go(func() {
			if t.backend.admit(ctx) {
				t.settle(t.advance(ctx, e.end), e.end)
				<-t.backend.readers
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	for _, b := range e.backends {
		if slices.ContainsFunc(slos, func(s *slo.SLO) bool { t := e.tracks[s.ID()]; return t.backend == b && t.err == nil && t.silent(e.end) }) {
			b.stale = b.probe(ctx, e.end)
		}
	}
	for _, t := range e.tracks {
		if t.err != nil {
			t.status = newStatus(t.slo, t.backend.Name)
			t.status.Compute(NewTimeline(e.end), e.end, e.Windows(t.slo))
		}
		e.evaluate(t, e.end)
	}
	e.publish()
	return e.Report(), nil
}
