package loop

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// publishEvery is the shortest time between two reports while history is read.
const publishEvery = time.Second

// Run evaluates once a minute until ctx ends, then waits for what it started.
func (l *Loop) Run(ctx context.Context) error {
	return newState(l).run(ctx)
}

// state contains the SLOs that a Loop follows, and their jobs. Only the goroutine that made
// it has a pointer to it: that of Run, or the caller of a method that evaluates once.
type state struct {
	*Loop
	lanes          []*lane         // of the backends, in their order
	end            timeline.Minute // the instant of the newest report
	problems       []evaluator.Problem
	followed       map[string]*followed
	jobs           map[string]*job
	byJob          map[*job][]*followed
	retired        map[string]timeline.Minute // when groups were retired, by their ids
	published      time.Time
	progressLogged time.Time // when progress was logged; zero when nothing is read
	loggedShare    int       // what was logged, in percent
	unpublished    bool
	waiting        []question         // about records that a cycle changes
	started        sync.WaitGroup     // the goroutines that it started
	results        chan func()        // take what these found
	recorder       *counting.Recorder // of how an SLO is counted; nil but for Explain
	recorded       *slo.SLO           // that one
}

func newState(l *Loop) *state {
	st := &state{
		Loop: l, followed: map[string]*followed{}, jobs: map[string]*job{}, byJob: map[*job][]*followed{},
		retired: map[string]timeline.Minute{}, problems: []evaluator.Problem{}, results: make(chan func()),
	}
	for _, r := range l.readers {
		st.lanes = append(st.lanes, newLane(r))
	}
	return st
}

func (st *state) run(ctx context.Context) error {
	defer st.saveAll()
	defer st.started.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	publisher := time.NewTicker(publishEvery)
	defer publisher.Stop()
	select {
	case <-st.changed: // so that no report is without the SLOs
		st.change(ctx)
	default:
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-st.changed:
			st.change(ctx)
		case <-st.rereads:
			if st.idle(ctx) {
				st.rereadAll(ctx)
			}
		case take := <-st.results:
			take()
			if st.unpublished && st.Now().Sub(st.published) >= publishEvery {
				st.publish()
			}
		case q := <-st.questions:
			st.waiting = append(st.waiting, q)
			st.reply()
		case <-publisher.C:
			if st.unpublished {
				st.publish()
			}
			st.logProgress()
			st.reply()
		case <-timer.C:
			st.tick(ctx)
			next := st.newestEnd() + 1
			timer.Reset(next.Time().Add(st.offset).Sub(st.Now()))
		}
	}
}

// background runs work in a goroutine. What work delivers is called by the goroutine of
// the state, unless ctx ends before.
func (st *state) background(ctx context.Context, work func(deliver func(take func()))) {
	st.started.Go(func() {
		work(func(take func()) { send(ctx, st.results, take) })
	})
}

// await takes what goroutines deliver until done. It reports false if ctx ends before.
func (st *state) await(ctx context.Context, done func() bool) bool {
	for !done() {
		select {
		case take := <-st.results:
			take()
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// change takes the SLOs that were set.
func (st *state) change(ctx context.Context) {
	if st.idle(ctx) {
		st.end = max(st.end, st.newestEnd())
		st.apply(ctx)
		st.publish()
	}
}

// tick begins the cycles that are due.
func (st *state) tick(ctx context.Context) {
	switch end := st.newestEnd(); {
	case end > st.end:
		st.begin(ctx, end)
	case end < st.end-maxClockStep:
		st.restart(ctx, end)
	}
}

// maxClockStep is how many minutes the clock may go backwards. If it goes further, what
// was evaluated is taken for the future of a wrong clock.
const maxClockStep = 5

// restart begins again at end, as a new process does.
func (st *state) restart(ctx context.Context, end timeline.Minute) {
	if !st.idle(ctx) {
		return
	}
	st.Log.Warn("The clock went backwards, all history is read again", "from", st.end.Time(), "to", end.Time())
	for _, j := range st.jobs {
		j.stop()
	}
	st.followed, st.jobs, st.retired, st.end = map[string]*followed{}, map[string]*job{}, map[string]timeline.Minute{}, end
	if st.pending.Load() != nil {
		st.apply(ctx)
		st.publish()
	}
}

// apply takes a new set of SLOs.
func (st *state) apply(ctx context.Context) {
	set := st.pending.Load()
	st.problems = set.problems
	tracks, jobs := st.followed, st.jobs
	st.followed, st.jobs, st.byJob = make(map[string]*followed, len(set.slos)), map[string]*job{}, map[*job][]*followed{}
	var begun []*job
	for _, s := range st.withGroups(set.slos, jobs) {
		if key := st.keyOf(s); jobs[key] != nil {
			st.jobs[key] = jobs[key]
		}
		t, fresh := st.add(s)
		j, old := t.job, tracks[s.ID()]
		if fresh {
			begun = append(begun, j)
		}
		if old != nil {
			t.begun = old.begun
		}
		if old != nil && old.job == j && old.slo.Window == s.Window && sameExclusions(old.slo, s) {
			t.memory = old.memory
			if j.err != nil {
				t.status = old.status
			}
		} else if j.err != nil {
			t.fail(j.err)
		}
	}
	for key, j := range jobs {
		if st.jobs[key] == nil {
			j.stop()
		}
	}
	for _, j := range st.jobs {
		if j.record != nil && j.err == nil {
			st.evaluateAll(j, j.record.Timeline.End())
		}
	}
	st.readHistory(ctx, begun)
	for _, b := range st.lanes {
		st.readCuts(ctx, b)
	}
}

// withGroups returns SLOs, each followed by its groups that are known.
func (st *state) withGroups(slos []*slo.SLO, jobs map[string]*job) []*slo.SLO {
	var out []*slo.SLO
	for _, s := range slos {
		out = append(out, s)
		groups, _ := groupsOf(s, jobs[st.keyOf(s)])
		out = append(out, groups...)
	}
	return out
}

// jobOf returns the job of a plan; nil if it is no longer followed.
func (st *state) jobOf(p *plan.Plan) *job {
	if j := st.jobs[p.Key]; j != nil && j.Plan == p {
		return j
	}
	return nil
}

// jobsOf returns the jobs of a backend, in the order of their keys.
func (st *state) jobsOf(b *lane) []*job { return b.of(maps.Values(st.jobs)) }

// of returns those jobs that are of this backend, in the order of their keys.
func (b *lane) of(jobs iter.Seq[*job]) []*job {
	var out []*job
	for j := range jobs {
		if j.lane == b {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(x, y *job) int { return cmp.Compare(x.Key, y.Key) })
	return out
}

// add follows an SLO with nothing evaluated. It reports whether its job is new, not one
// that it shares.
func (st *state) add(s *slo.SLO) (t *followed, fresh bool) {
	b, key := st.lanes[st.backendIndex(s)], st.keyOf(s)
	whole := st.followed[s.Service+"/"+s.Name] // if it is a group
	j := st.jobs[key]
	if fresh = j == nil; fresh {
		o := plan.Options{Key: key, Settle: timeline.Minutes(b.Settle), History: st.history(s)}
		if st.recorded == s {
			o.Recorder = st.recorder
		}
		if len(s.Group) > 0 && whole != nil && whole.job.record != nil {
			o.WholeChoices = whole.job.record.Choices()
		}
		j = newJob(plan.New(s, o), b, st.pageWindow(s).Duration()+recentMore)
		st.jobs[key] = j
	}
	t = &followed{slo: s, job: j, groups: map[string]*followed{}, begun: st.end, status: evaluator.NewStatus(s, b.Name)}
	t.status.Groups = t.groupsStatus()
	t.status.State, t.status.StateReason = evaluator.StateWarming, readingHistory
	t.status.Compute(timeline.NewTimeline(st.end), st.end, st.Windows(s))
	if st.NewJudge != nil {
		t.judge = st.NewJudge()
	}
	st.followed[s.ID()] = t
	st.byJob[j] = append(st.byJob[j], t)
	if len(s.Group) > 0 && whole != nil {
		whole.groups[s.ID()] = t
	}
	return t, fresh
}

// recentMore is read before the longest window that pages, so that the beginnings of
// recent alerts are right at once.
const recentMore = time.Hour
