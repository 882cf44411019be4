package evaluator

import (
	"context"

	"github.com/slowburn-slo/slowburn/slo"
)

// Tick does what Run does when a minute is over, and waits until it is done and
// all that is new was tried to be read.
func (e *Evaluator) Tick(ctx context.Context) {
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
		if w.entries[0].err != nil {
			break
		}
	}
	e.publish()
}

// TakeOver waits for what is read anew, and takes it over.
func (e *Evaluator) TakeOver(ctx context.Context) { e.warmUp(ctx, <-e.warmed) }

// cold reports whether some history is not read.
func (e *Evaluator) cold() bool {
	for _, l := range e.jobs {
		if l.book == nil || l.preview && l.next == nil {
			return true
		}
	}
	return false
}

// Fill takes SLOs over as if it had read their whole history before end, and
// counted what f gives.
func (e *Evaluator) Fill(slos []*slo.SLO, end Minute, f func(m Minute) Slot) {
	e.end = end
	filled := map[Minute]*Timeline{} // by their start
	for _, s := range slos {
		t, l := e.newTrack(s)
		e.tracks[s.ID()] = t
		e.byJob[l] = append(e.byJob[l], t)
		k := newBook(l.plan, end.Add(-l.history), 0)
		start := k.timeline.Start()
		if filled[start] == nil {
			for m := start; m < end; m++ {
				k.timeline.Append(f(m))
			}
			filled[start] = k.timeline
		}
		k.timeline = filled[start].Clone()
		k.settled = end - 2
		k.parts[0] = part{choice: choice{method: MethodRaw}, accounts: newCounter(l.meters[0].clock()), newest: end.millis()}
		k.remember()
		l.book = k
		e.evaluateAll(l, end)
	}
}

// Cycle evaluates once, at end, and publishes.
func (e *Evaluator) Cycle(ctx context.Context, end Minute) bool {
	e.begin(ctx, end)
	return e.idle(ctx)
}

// Remember lets each ledger keep what a reread begins with.
func (e *Evaluator) Remember() {
	for _, l := range e.jobs {
		l.book.remember()
	}
}

// faulty are accounts with a fault.
type faulty struct{ accounts }

func (f *faulty) feed([]rawSeries, Minute, Minute) *tally { panic("index out of range [7]") }

// Break puts a fault into what an SLO counts with.
func (e *Evaluator) Break(id string) {
	p := &e.tracks[id].job.book.parts[0]
	p.accounts = &faulty{p.accounts}
}
