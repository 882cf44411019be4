// Package evaluator finds out what a backend says about SLOs at an instant: it
// reads counters, keeps a timeline of counts per SLO, computes windows and
// budgets from it, and publishes all of it once a minute.
//
// A use:
//
//	e := evaluator.New(evaluator.Options{Backends: backends, Windows: w, Judge: j, Log: log, Now: time.Now})
//	e.SetSLOs(set.SLOs, nil)
//	go e.Run(ctx)
//	report := e.Report()
package evaluator

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slowburn-slo/slowburn/slo"
)

// Options are what an Evaluator needs.
type Options struct {
	Backends []Backend // at least one; the first is the default
	// Windows are the windows to publish for an SLO, ascending, its own last.
	Windows func(*slo.SLO) []slo.Window
	// PageWindow is how long an SLO without events has no traffic: the longest
	// window that pages. Nil is 6 h, or the SLO's own window when that is less.
	PageWindow func(*slo.SLO) slo.Window
	// NewJudge makes a Judge for an SLO whose timeline begins anew. Nil judges
	// nothing.
	NewJudge func() Judge
	// Lookback is the history that a Judge needs at its first call.
	Lookback func(*slo.SLO) time.Duration
	// Publish is called with each new report. Nil does nothing.
	Publish    func(*Report)
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Judge says what fires for an SLO at the end of a timeline whose slots up to
// settled are final. It is called once a cycle; the slots behind the last call's
// settled are not folded yet, at the first call none is.
type Judge func(s *slo.SLO, t *Timeline, settled Minute) []FiringAlert

// Evaluator evaluates SLOs.
type Evaluator struct {
	Options
	metrics  *metrics
	backends []*backend
	offset   time.Duration // the largest of the backends'

	report  atomic.Pointer[Report]
	pending atomic.Pointer[config]
	changed chan struct{}
	warmed  chan warmth
	cycled  chan *cycle

	// What follows belongs to the goroutine of Run.
	end      Minute // the instant of the newest report
	problems []Problem
	tracks   map[string]*track
	started  sync.WaitGroup // what Run started
}

// config is a set of SLOs to evaluate from now on.
type config struct {
	slos     []*slo.SLO
	problems []Problem
}

// warmth says that a track's history is read, or why not yet.
type warmth struct {
	track *track
	err   error
}

// New makes an Evaluator that evaluates nothing yet.
func New(o Options) *Evaluator {
	e := &Evaluator{
		Options: o, metrics: newMetrics(o.Registerer), changed: make(chan struct{}, 1), warmed: make(chan warmth), cycled: make(chan *cycle),
		tracks: map[string]*track{}, problems: []Problem{},
	}
	for _, b := range o.Backends {
		e.backends = append(e.backends, &backend{
			Backend: b, metrics: e.metrics,
			slots: make(chan struct{}, b.MaxConcurrency), readers: make(chan struct{}, b.MaxConcurrency),
		})
		e.offset = max(e.offset, b.Offset)
		e.metrics.up.WithLabelValues(b.Name).Set(1)
	}
	e.report.Store(&Report{Format: 1, SLOs: []Status{}, Problems: []Problem{}})
	return e
}

// Report is the newest report. It is never nil, and never changes.
func (e *Evaluator) Report() *Report { return e.report.Load() }

// SetSLOs replaces the SLOs from the next moment on. Those whose counters
// and window are the same keep their timeline.
func (e *Evaluator) SetSLOs(slos []*slo.SLO, problems []Problem) {
	e.pending.Store(&config{slos: slos, problems: append([]Problem{}, problems...)})
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// Run evaluates once a minute until ctx ends, then waits for what it started.
func (e *Evaluator) Run(ctx context.Context) error {
	defer e.started.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.changed:
			if e.idle(ctx) {
				e.end = max(e.end, e.behindNow())
				e.apply(ctx)
				e.publish()
			}
		case w := <-e.warmed:
			e.warmUp(w)
			e.publish()
		case c := <-e.cycled:
			e.finish(c)
		case <-timer.C:
			switch end := e.behindNow(); {
			case end > e.end:
				e.begin(ctx, end)
			case end < e.end-maxClockStep:
				e.restart(ctx, end)
			}
			next := e.behindNow() + 1
			timer.Reset(next.Time().Add(e.offset).Sub(e.Now()))
		}
	}
}

// maxClockStep is how many minutes the clock may go backwards before what was
// evaluated is taken for the future of a clock that was wrong.
const maxClockStep = 5

// restart begins anew at end, as a new process does.
func (e *Evaluator) restart(ctx context.Context, end Minute) {
	if !e.idle(ctx) {
		return
	}
	e.Log.Warn("The clock went backwards, all history is read again", "from", e.end.Time(), "to", end.Time())
	for _, t := range e.tracks {
		t.stop()
	}
	e.tracks, e.end = map[string]*track{}, end
	if e.pending.Load() != nil {
		e.apply(ctx)
		e.publish()
	}
}

// behindNow is the newest slot's end that should be evaluated.
func (e *Evaluator) behindNow() Minute { return MinuteOf(e.Now().Add(-e.offset)) }

// apply takes over a new set of SLOs.
func (e *Evaluator) apply(ctx context.Context) {
	set := e.pending.Load()
	e.problems = set.problems
	old := e.tracks
	e.tracks = make(map[string]*track, len(set.slos))
	for _, s := range set.slos {
		b := e.backendOf(s)
		t := old[s.ID()]
		if t == nil || t.backend != b || !sameCounts(t.slo, s) {
			e.tracks[s.ID()] = e.start(ctx, s, b)
			continue
		}
		delete(old, s.ID())
		e.tracks[s.ID()] = t
		if t.warm {
			t.slo = s
			e.evaluate(t, t.timeline.End())
		} else {
			t.next = s
		}
	}
	for _, t := range old {
		t.stop()
	}
}

// readingHistory is the reason of StateWarming.
const readingHistory = "reading history"

// start makes a track and reads its history beside the loop, again and again
// until it succeeds.
func (e *Evaluator) start(ctx context.Context, s *slo.SLO, b *backend) *track {
	t := e.newTrack(s, b)
	t.status = newStatus(s, b.Name)
	t.status.State, t.status.StateReason = StateWarming, readingHistory
	t.status.Compute(t.timeline, e.end, e.Windows(s))
	ctx, t.stop = context.WithCancel(ctx)
	e.started.Go(func() {
		for pause := time.Second; b.admit(ctx); pause = min(2*pause, time.Minute) {
			err := t.advance(ctx, max(t.settled, e.behindNow()))
			<-b.readers // others go first while this one pauses
			select {
			case e.warmed <- warmth{t, err}:
			case <-ctx.Done():
				return
			}
			if err == nil {
				return
			}
			wait(ctx, max(pause, retryAfter(err)))
		}
	})
	return t
}

// warmUp takes over a track from the goroutine that read its history.
func (e *Evaluator) warmUp(w warmth) {
	t := w.track
	if e.tracks[t.slo.ID()] != t {
		return
	}
	b := t.backend
	if w.err != nil {
		t.status.State, t.status.StateReason = StateQueryFailed, w.err.Error()
		if refused(w.err) || e.answers(b) {
			e.note(t, w.err)
			return
		}
		b.down = w.err
		e.noteBackend(b)
		return
	}
	t.warm = true
	if b.down != nil { // it is not any more
		b.down = nil
		e.noteBackend(b)
	}
	if t.next != nil {
		t.slo, t.next = t.next, nil
	}
	e.note(t, nil)
	e.evaluate(t, t.timeline.End())
}

// answers reports whether a backend answered of late, as far as its SLOs that
// are warm can tell.
func (e *Evaluator) answers(b *backend) bool {
	if b.down != nil {
		return false
	}
	for _, t := range e.tracks {
		if t.warm && t.backend == b {
			return true
		}
	}
	return false
}

func (e *Evaluator) newTrack(s *slo.SLO, b *backend) *track {
	t := newTrack(s, b, e.end, e.history(s))
	if e.NewJudge != nil {
		t.judge = e.NewJudge()
	}
	return t
}

// history is how far back an SLO's timeline goes.
func (e *Evaluator) history(s *slo.SLO) time.Duration {
	if e.NewJudge == nil {
		return s.Window.Duration()
	}
	return max(s.Window.Duration(), e.Lookback(s))
}

func (e *Evaluator) backendOf(s *slo.SLO) *backend {
	for _, b := range e.backends {
		if len(s.Origin.Backends) == 0 || slices.Contains(s.Origin.Backends, b.Name) {
			return b
		}
	}
	return e.backends[0]
}

// sameCounts reports whether two versions of an SLO count the same events over
// the same window.
func sameCounts(a, b *slo.SLO) bool {
	x, y := a.Indicator.Counters(), b.Indicator.Counters()
	return a.Window == b.Window && a.Indicator.Kind() == b.Indicator.Kind() &&
		x.Good.String() == y.Good.String() && x.Bad.String() == y.Bad.String() && x.Total.String() == y.Total.String()
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
