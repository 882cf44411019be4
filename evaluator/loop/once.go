package loop

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/explain"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/inspect"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// EvaluateAt evaluates SLOs once at an instant, or at the newest slot that should be
// complete if that is earlier. An SLO that can't be evaluated is in the state
// query_failed. The error is the end of ctx.
func (l *Loop) EvaluateAt(ctx context.Context, slos []*slo.SLO, at time.Time) (*evaluator.Report, error) {
	return newState(l).evaluateOnce(ctx, slos, at)
}

func (st *state) evaluateOnce(ctx context.Context, slos []*slo.SLO, at time.Time) (*evaluator.Report, error) {
	defer st.started.Wait()
	st.end = min(timeline.MinuteOf(at), st.newestEnd())
	evaluate := func(j *job) {
		if j.err == nil {
			st.evaluateAll(j, st.end) // and folds, while others are still read
		}
	}
	st.readOnce(ctx, slos, evaluate)
	var groups []*slo.SLO
	for _, s := range slos {
		t := st.followed[s.ID()]
		of, leftOut := groupsOf(s, t.job)
		groups = append(groups, of...)
		t.leftOut = leftOut
	}
	st.readOnce(ctx, groups, evaluate)
	if st.recorder == nil { // Explain has checks of its own
		for _, b := range st.lanes {
			st.audit(ctx, b, st.jobsOf(b))
		}
		st.await(ctx, func() bool { return !slices.ContainsFunc(st.lanes, func(b *lane) bool { return b.auditing }) })
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	st.conclude(ctx)
	st.publish()
	return st.Report(), nil
}

// readOnce reads the whole history of SLOs. It calls take with each job that is read or
// has failed, while others are still read.
func (st *state) readOnce(ctx context.Context, slos []*slo.SLO, take func(*job)) {
	for _, s := range slos {
		st.add(s)
	}
	left := 0
	for _, b := range st.lanes {
		begun := slices.DeleteFunc(st.jobsOf(b), func(j *job) bool { return j.record != nil })
		for _, family := range families(begun) {
			var entries []*history.Read
			for _, j := range family {
				j.restored = st.restore(j, st.end)
				en := st.wholeEntry(j, st.end)
				j.record = en.Record
				entries = append(entries, en)
			}
			left++
			end := st.end
			st.background(ctx, func(deliver func(func())) {
				if !admit(ctx, b.slots[stageWhole]) {
					return
				}
				b.Advance(ctx, entries, end, false)
				<-b.slots[stageWhole]
				deliver(func() {
					left--
					for i, j := range family {
						finishProgress(entries[i])
						j.setResult(entries[i].Err)
						st.takeRestored(j)
						take(j)
					}
				})
			})
		}
	}
	if !st.await(ctx, func() bool { return left == 0 }) {
		st.started.Wait() // until then the records belong to the reads
	}
}

// conclude finds what is stale or absent, and evaluates all with that.
func (st *state) conclude(ctx context.Context) {
	for _, b := range st.lanes {
		b.stale = findSymptoms(ctx, b.Reader, st.jobsOf(b), st.end)
		for _, j := range st.jobsOf(b) {
			for _, t := range st.byJob[j] {
				if j.err == nil {
					st.evaluate(t, st.end, t.status.Alerts) // it may be stale
					continue
				}
				s := t.sloAt(st.end)
				t.status = evaluator.NewStatus(s, b.Name)
				t.status.Compute(timeline.NewTimeline(st.end), st.end, st.Windows(s))
				t.fail(j.err)
			}
		}
	}
}

// HistoryAt evaluates SLOs as EvaluateAt does, and reads their calendar periods that
// ended.
func (l *Loop) HistoryAt(ctx context.Context, slos []*slo.SLO, at time.Time) (*evaluator.Report, error) {
	st := newState(l)
	if _, err := st.evaluateOnce(ctx, slos, at); err != nil {
		return nil, err
	}
	failed := st.readPeriodsOnce(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading periods that ended: %w", err)
	}
	st.publish()
	return st.Report(), failed
}

// readPeriodsOnce reads the periods that ended of all jobs. The error is that of a
// backend that could not be read.
func (st *state) readPeriodsOnce(ctx context.Context) (failed error) {
	for {
		var all []*periodRead
		var readers sync.WaitGroup
		for _, b := range st.lanes {
			for _, k := range st.duePeriods(b, st.end) {
				all = append(all, k)
				readers.Go(func() { k.read(ctx, b, b.slots[stageWhole]) })
			}
		}
		readers.Wait()
		if len(all) == 0 || ctx.Err() != nil {
			return failed
		}
		for _, k := range all {
			if err := st.takePeriod(k); err != nil {
				failed = err
			}
		}
	}
}

// Inspect asks the backends whether SLOs make sense there, see inspect.SLOs.
func (l *Loop) Inspect(ctx context.Context, slos []*slo.SLO) ([]slo.Finding, error) {
	o := inspect.Options{
		ReaderOf: func(s *slo.SLO) *history.Reader { return l.readers[l.backendIndex(s)] },
		Shortest: func(s *slo.SLO) slo.Window { return l.Windows(s)[0] },
		Blind:    l.Blind,
		End:      l.newestEnd(),
		Readers:  l.readers,
	}
	return inspect.SLOs(ctx, slos, o)
}

// Explain evaluates an SLO once, as EvaluateAt does, and proves its numbers. An SLO that
// can't be evaluated is in the state query_failed. The error is the end of ctx.
func (l *Loop) Explain(ctx context.Context, s *slo.SLO, at time.Time) (*explain.Proof, error) {
	if s.Groups != nil { // they have proofs of their own
		whole := *s
		whole.Groups = nil
		s = &whole
	}
	end := min(timeline.MinuteOf(at), l.newestEnd())
	from := evaluator.OwnStart(s.Window, end)
	st, queries := newState(l), []backend.Query{}
	defer st.lanes[st.backendIndex(s)].Trace(func(q backend.Query) { queries = append(queries, q) })()
	st.recorder, st.recorded = counting.NewRecorder(from, end), s
	r, err := st.evaluateOnce(ctx, []*slo.SLO{s}, end.Time())
	if err != nil {
		return nil, err
	}
	t := st.followed[s.ID()]
	e := explain.Evidence{
		Status: r.SLOs[0], Plan: t.job.Plan, Sum: timeline.Sum{Start: from, End: end},
		Recorder: st.recorder, Queries: &queries, Problems: st.problems,
	}
	if t.job.err == nil {
		e.Record, e.Sum = t.job.record, t.timeline().Sum(from, end)
	}
	p := explain.Prove(ctx, t.job.lane.Reader, r.EvaluatedAt, e)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("checking: %w", err)
	}
	return p, nil
}

// Past is the history of one SLO, slot by slot.
type Past struct {
	SLO      *slo.SLO
	Timeline *timeline.Timeline // single slots, to read only; what is excluded did not happen in it
	LeftOut  int                // groups that are more than the limit
	Err      error              // why it can't be read; there is no timeline then
}

// Settled returns the end of the newest slot that should be final in all backends.
func (l *Loop) Settled() timeline.Minute { return l.newestEnd() - l.settle() }

// settle returns the longest time for which slots of a backend are read again.
func (l *Loop) settle() timeline.Minute {
	out := timeline.Minute(0)
	for _, b := range l.readers {
		out = max(out, timeline.Minutes(b.Settle))
	}
	return out
}

// Replay reads the history of SLOs until the end of a settled slot, as far back as
// Options.Lookback and their windows need. It calls take for one SLO at a time, and
// keeps nothing afterwards. The groups that exist at the end come after all SLOs. The
// error is the end of ctx.
func (l *Loop) Replay(ctx context.Context, slos []*slo.SLO, last timeline.Minute, take func(Past)) error {
	st := newState(l)
	defer st.started.Wait()
	st.end = last + st.settle() // so that the last is final
	var groups []*slo.SLO
	read := func(j *job) {
		for _, t := range st.byJob[j] {
			past := Past{SLO: t.slo, Err: j.err}
			if j.err == nil {
				j.record.Timeline.Truncate(last)
				past.Timeline = t.timeline()
				var of []*slo.SLO
				of, past.LeftOut = groupsOf(t.slo, j)
				groups = append(groups, of...)
			}
			take(past)
		}
		j.record = &history.Record{Plan: j.Plan, Timeline: timeline.NewTimeline(st.end), Inputs: history.Chosen(j.record.Choices()), Groups: j.record.Groups}
	}
	st.readOnce(ctx, slos, read)
	st.readOnce(ctx, groups, read)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reading history: %w", err)
	}
	return nil
}
