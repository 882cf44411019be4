// Package loop decides when what is read: a cycle each minute, history beside it, what
// may have come late again, audits. It keeps what is followed, and publishes a report of
// all of it.
//
// A use:
//
//	l := loop.New(loop.Options{Backends: backends, Windows: w, NewJudge: j, Log: log, Now: time.Now})
//	l.SetSLOs(set.SLOs, nil)
//	go l.Run(ctx)
//	report := l.Report()
package loop

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Options are what an Evaluator needs.
type Options struct {
	Backends []backend.Config // at least one; the first is the default
	// Windows are the windows to publish for an SLO, ascending, its own last.
	Windows func(*slo.SLO) []slo.Window
	// PageWindow is how long an SLO without events has no traffic: the longest
	// window that pages. Nil is 6 h, or the SLO's own window when that is less.
	PageWindow func(*slo.SLO) slo.Window
	// Blind are the names of an SLO's alert tiers whose windows are all shorter than
	// least. Nil are none.
	Blind func(s *slo.SLO, least time.Duration) []string
	// NewJudge makes a Judge for an SLO whose timeline begins anew. Nil judges
	// nothing.
	NewJudge func() evaluator.Judge
	// Alerts completes the alerts of a report before it is published: it names and
	// describes what the Judges found, and adds what else fires. Nil does nothing.
	Alerts func(*evaluator.Report)
	// Lookback is the history that a Judge needs at its first call.
	Lookback func(*slo.SLO) time.Duration
	// Publish is called with each new report. Nil does nothing.
	Publish func(*evaluator.Report)
	// Retry is for how long a query is tried again whose backend is overloaded or
	// restarts. It is for whoever evaluates once: Run asks again in its next cycle.
	Retry time.Duration
	// Memory is how many bytes the answers of all backends may take at once, 0 for 512 MiB.
	Memory     int64
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Loop evaluates SLOs.
type Loop struct {
	Options
	metrics  *metrics
	backends []*lane
	offset   time.Duration // the largest of the backends'

	report    atomic.Pointer[evaluator.Report]
	pending   atomic.Pointer[config]
	changed   chan struct{}
	rereads   chan struct{}
	warmed    chan historyRead
	past      chan periodRead
	audits    chan auditsDone
	found     chan lookedFor
	cycled    chan *cycle
	questions chan question
	progress  progress

	// What follows belongs to the goroutine of Run.
	end         timeline.Minute // the instant of the newest report
	problems    []evaluator.Problem
	tracks      map[string]*followed
	jobs        map[string]*job
	byJob       map[*job][]*followed
	retired     map[string]timeline.Minute // when groups were retired, by their ids
	published   time.Time
	noted       time.Time // when the log told of progress; zero when nothing is read
	notedShare  int       // what it told, in percent
	unpublished bool
	unanswered  []question         // a cycle changes what they are about
	started     sync.WaitGroup     // what Run started
	witness     *counting.Recorder // of how an SLO is counted; nil but for Explain
	explained   *slo.SLO           // that one
}

// config is a set of SLOs to evaluate from now on.
type config struct {
	slos     []*slo.SLO
	problems []evaluator.Problem
}

// New makes an Evaluator that evaluates nothing yet.
func New(o Options) *Loop {
	e := &Loop{
		Options: o, metrics: newMetrics(o.Registerer),
		changed: make(chan struct{}, 1), rereads: make(chan struct{}, 1), warmed: make(chan historyRead), past: make(chan periodRead), audits: make(chan auditsDone), found: make(chan lookedFor), cycled: make(chan *cycle),
		questions: make(chan question),
		tracks:    map[string]*followed{}, jobs: map[string]*job{}, byJob: map[*job][]*followed{}, retired: map[string]timeline.Minute{}, problems: []evaluator.Problem{},
	}
	shared, counted := backend.NewShared(o.Memory, o.Retry, o.Log, o.Now, o.Registerer), history.NewMetrics(o.Registerer)
	for _, b := range o.Backends {
		e.backends = append(e.backends, newLane(history.NewReader(b, shared, counted)))
		e.offset = max(e.offset, b.Offset)
		e.metrics.up.WithLabelValues(b.Name).Set(1)
	}
	e.metrics.history(o.Registerer, e.Progress)
	e.report.Store(&evaluator.Report{Format: 1, SLOs: []evaluator.Status{}, Problems: []evaluator.Problem{}})
	return e
}

// Report is the newest report. It is never nil, and never changes.
func (e *Loop) Report() *evaluator.Report { return e.report.Load() }

// SetSLOs replaces the SLOs from the next moment on. Those whose counters
// and window are the same keep their timeline.
func (e *Loop) SetSLOs(slos []*slo.SLO, problems []evaluator.Problem) {
	e.pending.Store(&config{slos: slos, problems: append([]evaluator.Problem{}, problems...)})
	wake(e.changed)
}

// Reread reads all history again, beside what goes on, so that data which came
// late counts. It returns at once.
func (e *Loop) Reread() { wake(e.rereads) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publishEvery is the shortest time between two reports while SLOs warm up.
const publishEvery = time.Second

// Run evaluates once a minute until ctx ends, then waits for what it started.
func (e *Loop) Run(ctx context.Context) error {
	defer e.started.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	publisher := time.NewTicker(publishEvery)
	defer publisher.Stop()
	select {
	case <-e.changed: // so that no report is without the SLOs
		e.change(ctx)
	default:
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.changed:
			e.change(ctx)
		case <-e.rereads:
			if e.idle(ctx) {
				e.rereadAll(ctx)
			}
		case w := <-e.warmed:
			e.warmUp(ctx, w)
			if e.unpublished = true; e.Now().Sub(e.published) >= publishEvery {
				e.publish()
			}
		case r := <-e.past:
			e.takePast(r)
		case done := <-e.audits:
			e.takeAudits(done)
		case f := <-e.found:
			e.rereadFound(ctx, f)
		case q := <-e.questions:
			e.reply(q)
		case <-publisher.C:
			if e.unpublished {
				e.publish()
			}
			e.noteProgress()
			e.replyAll()
		case c := <-e.cycled:
			e.finish(ctx, c)
		case <-timer.C:
			e.tick(ctx)
			next := e.behindNow() + 1
			timer.Reset(next.Time().Add(e.offset).Sub(e.Now()))
		}
	}
}

// change takes over the SLOs that were set.
func (e *Loop) change(ctx context.Context) {
	if e.idle(ctx) {
		e.end = max(e.end, e.behindNow())
		e.apply(ctx)
		e.publish()
	}
}

// tick begins the cycles that are due.
func (e *Loop) tick(ctx context.Context) {
	switch end := e.behindNow(); {
	case end > e.end:
		e.begin(ctx, end)
	case end < e.end-maxClockStep:
		e.restart(ctx, end)
	}
}

// maxClockStep is how many minutes the clock may go backwards before what was
// evaluated is taken for the future of a clock that was wrong.
const maxClockStep = 5

// restart begins anew at end, as a new process does.
func (e *Loop) restart(ctx context.Context, end timeline.Minute) {
	if !e.idle(ctx) {
		return
	}
	e.Log.Warn("The clock went backwards, all history is read again", "from", e.end.Time(), "to", end.Time())
	for _, l := range e.jobs {
		l.stop()
	}
	e.tracks, e.jobs, e.retired, e.end = map[string]*followed{}, map[string]*job{}, map[string]timeline.Minute{}, end
	if e.pending.Load() != nil {
		e.apply(ctx)
		e.publish()
	}
}

// behindNow is the newest slot's end that should be evaluated.
func (e *Loop) behindNow() timeline.Minute { return timeline.MinuteOf(e.Now().Add(-e.offset)) }

// apply takes over a new set of SLOs.
func (e *Loop) apply(ctx context.Context) {
	set := e.pending.Load()
	e.problems = set.problems
	tracks, jobs := e.tracks, e.jobs
	e.tracks, e.jobs, e.byJob = make(map[string]*followed, len(set.slos)), map[string]*job{}, map[*job][]*followed{}
	var begun []*job
	for _, s := range e.withGroups(set.slos, jobs) {
		key := e.keyOf(s)
		if l := jobs[key]; l != nil {
			e.jobs[key] = l
		}
		known := e.jobs[key] != nil
		t, l := e.newTrack(s)
		if !known {
			begun = append(begun, l)
		}
		if old := tracks[s.ID()]; old != nil && old.job == l && old.slo.Window == s.Window && sameExclusions(old.slo, s) {
			t.judge, t.told, t.leftOut = old.judge, old.told, old.leftOut
			t.doubted = old.doubted
			t.inexact, t.cutsRead = old.inexact, old.cutsRead
			if l.err != nil {
				t.status = old.status
			}
		} else if l.err != nil {
			t.fail(l.err)
		}
		if old := tracks[s.ID()]; old != nil {
			t.begun = old.begun
		}
		e.tracks[s.ID()] = t
		e.byJob[l] = append(e.byJob[l], t)
		if whole := e.tracks[s.Service+"/"+s.Name]; len(s.Group) > 0 {
			whole.groups[s.ID()] = t
		}
	}
	for key, l := range jobs {
		if e.jobs[key] == nil {
			l.stop()
		}
	}
	for _, l := range e.jobs {
		if l.book != nil && l.err == nil {
			e.evaluateAll(l, l.book.Timeline.End())
		}
	}
	e.readHistory(ctx, begun)
	for _, b := range e.backends {
		e.readCuts(ctx, b)
	}
}

// withGroups are SLOs, each followed by its groups that are known.
func (e *Loop) withGroups(slos []*slo.SLO, jobs map[string]*job) []*slo.SLO {
	var out []*slo.SLO
	for _, s := range slos {
		out = append(out, s)
		groups, _ := groupsOf(s, jobs[e.keyOf(s)])
		out = append(out, groups...)
	}
	return out
}

// jobOf is the job of a plan; nil when it is followed no more.
func (e *Loop) jobOf(p *plan.Plan) *job {
	if l := e.jobs[p.Key]; l != nil && l.Plan == p {
		return l
	}
	return nil
}

// jobsOf are the jobs of a backend, in the order of their keys.
func (e *Loop) jobsOf(b *lane) []*job {
	var out []*job
	for _, l := range e.jobs {
		if l.lane == b {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(x, y *job) int { return cmp.Compare(x.Key, y.Key) })
	return out
}

// newTrack makes a track on the ledger that it shares, or on a new one.
func (e *Loop) newTrack(s *slo.SLO) (*followed, *job) {
	b, key := e.backendOf(s), e.keyOf(s)
	l := e.jobs[key]
	if l == nil {
		p := plan.New(key, s, timeline.Minutes(b.Settle), e.history(s))
		if e.explained == s {
			p.Recorder = e.witness
		}
		if whole := e.tracks[s.Service+"/"+s.Name]; len(s.Group) > 0 && whole != nil && whole.job.book != nil {
			p.WholeChoices = whole.job.book.Choices()
		}
		l = newJob(p, b, e.pageWindow(s).Duration()+recentMore)
		e.jobs[key] = l
	}
	t := &followed{slo: s, job: l, groups: map[string]*followed{}, begun: e.end, status: evaluator.NewStatus(s, b.Name)}
	t.status.Groups = t.groupsStatus()
	t.status.State, t.status.StateReason = evaluator.StateWarming, readingHistory
	t.status.Compute(timeline.NewTimeline(e.end), e.end, e.Windows(s))
	if e.NewJudge != nil {
		t.judge = e.NewJudge()
	}
	return t, l
}

// recentMore is what is read first beyond the longest window that pages, so that
// what fires since less than that is dated right at once.
const recentMore = time.Hour

// keyOf tells which SLOs share a ledger.
func (e *Loop) keyOf(s *slo.SLO) string { return plan.Key(s, e.backendOf(s).Name, e.history(s)) }

// history is how far back an SLO's timeline goes.
func (e *Loop) history(s *slo.SLO) time.Duration {
	if e.NewJudge == nil {
		return evaluator.HistoryLength(s.Window)
	}
	return max(evaluator.HistoryLength(s.Window), e.Lookback(s))
}

func (e *Loop) backendOf(s *slo.SLO) *lane {
	for _, b := range e.backends {
		if s.Backend == b.Name || s.Backend == "" && (len(s.Origin.Backends) == 0 || slices.Contains(s.Origin.Backends, b.Name)) {
			return b
		}
	}
	return e.backends[0]
}
