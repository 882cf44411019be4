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

// cycle evaluates every track that is warm at the instant end, and publishes.
func (e *Evaluator) cycle(ctx context.Context, end Minute) {
	begin := e.Now()
	e.end = end
	var wg sync.WaitGroup
	for _, b := range e.backends {
		var due []*track
		for _, t := range e.tracks {
			if t.warm && t.backend == b && t.retry <= end {
				due = append(due, t)
			}
		}
		slices.SortFunc(due, func(x, y *track) int { return cmp.Compare(x.slo.ID(), y.slo.ID()) })
		if len(due) > 0 {
			wg.Go(func() { b.cycle(ctx, due, end) })
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	for _, b := range e.backends {
		e.noteBackend(b)
	}
	for _, t := range e.tracks {
		if !t.warm {
			continue
		}
		e.note(t, t.err)
		e.evaluate(t, end)
	}
	e.publish()
	e.metrics.cycles.Observe(e.Now().Sub(begin).Seconds())
}

// maxBroken is the number of failures that make a cycle give up on a backend.
const maxBroken = 3

// cycle advances tracks. A backend that was down gets one query first, and the
// others only when that one is answered.
func (b *backend) cycle(ctx context.Context, due []*track, end Minute) {
	var broken atomic.Int32
	var answered atomic.Bool
	advance := func(t *track) {
		err := b.gaveUp(&broken)
		if err == nil {
			err = t.advance(ctx, end)
			if err == nil || refused(err) {
				answered.Store(true)
				broken.Store(0)
			} else if ctx.Err() == nil {
				b.fault.Store(&err)
				broken.Add(1)
			}
		}
		t.settle(err, end)
	}
	if b.down != nil {
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
	b.down = nil
	if fault := b.fault.Load(); fault != nil && !answered.Load() {
		b.down = *fault
	}
	b.fault.Store(nil)
	b.stale = nil
	if b.down == nil && slices.ContainsFunc(due, func(t *track) bool { return t.silent(end) }) {
		b.stale = b.probe(ctx, end)
	}
}

// gaveUp is the fault for which the rest of the cycle is not asked.
func (b *backend) gaveUp(broken *atomic.Int32) error {
	if broken.Load() < maxBroken {
		return nil
	}
	return *b.fault.Load()
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

// noteWarmth notes how a try to read history ended. A backend that answered
// nothing since the try before is down, for there may be no cycle to find out.
func (e *Evaluator) noteWarmth(b *backend, err error) {
	answered := b.answered.Swap(false)
	switch {
	case err == nil || refused(err):
		b.down = nil
	case !answered:
		b.down = err
	}
	e.noteBackend(b)
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
