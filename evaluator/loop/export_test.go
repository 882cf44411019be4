package loop

import (
	"context"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Tick does what Run does when a minute is over, and waits until it is done and
// all that is new was tried to be read.
func (e *Loop) Tick(ctx context.Context) {
	select {
	case <-e.changed:
		e.end = max(e.end, e.behindNow())
		e.apply(ctx)
	default:
		e.tick(ctx)
	}
	e.idle(ctx)
	for e.cold() {
		w := <-e.warmed
		e.warmUp(ctx, w)
		if w.entries[0].Err != nil {
			break
		}
	}
	e.publish()
}

// TakeOver waits for what is being reread, and takes it over.
func (e *Loop) TakeOver(ctx context.Context) { e.warmUp(ctx, <-e.warmed) }

// cold reports whether some history is not read.
func (e *Loop) cold() bool {
	for _, l := range e.jobs {
		if l.book == nil || l.preview && l.next == nil {
			return true
		}
	}
	return false
}

// Fill takes SLOs over as if it had read their whole history before end, and
// counted what f gives.
func (e *Loop) Fill(slos []*slo.SLO, end timeline.Minute, f func(m timeline.Minute) timeline.Slot) {
	e.end = end
	filled := map[timeline.Minute]*timeline.Timeline{} // by their start
	for _, s := range slos {
		t, l := e.newTrack(s)
		e.tracks[s.ID()] = t
		e.byJob[l] = append(e.byJob[l], t)
		k := history.NewRecord(l.Plan, end.Add(-l.History), 0)
		start := k.Timeline.Start()
		if filled[start] == nil {
			for m := start; m < end; m++ {
				k.Timeline.Append(f(m))
			}
			filled[start] = k.Timeline
		}
		k.Timeline = filled[start].Clone()
		k.Settled = end - 2
		k.Inputs[0] = history.InputState{Choice: plan.Choice{Method: evaluator.MethodRaw}, Counting: counters.NewRaw(l.Inputs[0].Clock()), Newest: end.Millis()}
		k.SaveCheckpoint()
		l.book = k
		e.evaluateAll(l, end)
	}
}

// Cycle evaluates once, at end, and publishes.
func (e *Loop) Cycle(ctx context.Context, end timeline.Minute) bool {
	e.begin(ctx, end)
	return e.idle(ctx)
}

// Remember lets each ledger keep what a reread begins with.
func (e *Loop) Remember() {
	for _, l := range e.jobs {
		l.book.SaveCheckpoint()
	}
}

// faulty are accounts with a fault.
type faulty struct{ counting.Method }

func (f *faulty) Feed([]counting.RawSeries, timeline.Minute, timeline.Minute) *counting.Events {
	panic("index out of range [7]")
}

// Break puts a fault into what an SLO counts with.
func (e *Loop) Break(id string) {
	p := &e.tracks[id].job.book.Inputs[0]
	p.Counting = &faulty{p.Counting}
}
