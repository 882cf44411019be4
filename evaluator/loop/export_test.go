package loop

import (
	"context"
	"sync"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// states are those of the Loops that tests step through.
var states sync.Map

func stateOf(l *Loop) *state {
	st, _ := states.LoadOrStore(l, newState(l))
	return st.(*state)
}

// Tick does what Run does when a minute is over, and waits until it is done and
// all that is new was tried to be read.
func (l *Loop) Tick(ctx context.Context) {
	st := stateOf(l)
	select {
	case <-st.changed:
		st.end = max(st.end, st.newestEnd())
		st.apply(ctx)
	default:
		st.tick(ctx)
	}
	st.idle(ctx)
	for st.cold() {
		(<-st.results)()
		if st.failed() {
			break
		}
	}
	st.publish()
}

// TakeOver waits for what is being reread, and takes it over.
func (l *Loop) TakeOver(ctx context.Context) {
	st := stateOf(l)
	st.await(ctx, func() bool {
		for _, j := range st.jobs {
			if j.rereading {
				return false
			}
		}
		return true
	})
}

// failed reports whether some history could not be read.
func (st *state) failed() bool {
	for _, t := range st.followed {
		if (t.job.record == nil || t.job.newestOnly) && (t.logged || t.job.lane.down != nil) {
			return true
		}
	}
	return false
}

// cold reports whether some history is not read.
func (st *state) cold() bool {
	for _, j := range st.jobs {
		if j.record == nil || j.newestOnly && j.fresh == nil {
			return true
		}
	}
	return false
}

// Fill takes SLOs over as if it had read their whole history before end, and
// counted what f gives.
func (l *Loop) Fill(slos []*slo.SLO, end timeline.Minute, f func(m timeline.Minute) timeline.Slot) {
	st := stateOf(l)
	st.end = end
	filled := map[timeline.Minute]*timeline.Timeline{} // by their start
	for _, s := range slos {
		t, _ := st.add(s)
		j := t.job
		rec := history.NewRecord(j.Plan, end.Add(-j.History), 0)
		start := rec.Timeline.Start()
		if filled[start] == nil {
			for m := start; m < end; m++ {
				rec.Timeline.Append(f(m))
			}
			filled[start] = rec.Timeline
		}
		rec.Timeline = filled[start].Clone()
		rec.Settled = end - 2
		rec.Inputs[0] = history.InputState{Choice: plan.Choice{Method: evaluator.MethodRaw}, Counting: counters.NewRaw(j.Inputs[0].Clock()), Newest: end.Millis()}
		rec.SaveCheckpoint()
		j.record = rec
		st.evaluateAll(j, end)
	}
}

// Cycle evaluates once, at end, and publishes.
func (l *Loop) Cycle(ctx context.Context, end timeline.Minute) bool {
	st := stateOf(l)
	st.begin(ctx, end)
	return st.idle(ctx)
}

// Remember lets each ledger keep what a reread begins with.
func (l *Loop) Remember() {
	st := stateOf(l)
	for _, j := range st.jobs {
		j.record.SaveCheckpoint()
	}
}

// faulty are accounts with a fault.
type faulty struct{ counting.Method }

func (f *faulty) Feed([]counting.RawSeries, timeline.Minute, timeline.Minute) *counting.Events {
	panic("index out of range [7]")
}

// Break puts a fault into what an SLO counts with.
func (l *Loop) Break(id string) {
	st := stateOf(l)
	p := &st.followed[id].job.record.Inputs[0]
	p.Counting = &faulty{p.Counting}
}
