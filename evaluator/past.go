package evaluator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// Calendar periods that ended lie before what timelines hold. They are read one by
// one, back to the first of which nothing is known, and only their sums are kept.

// lookBack are ledgers that are read together and look back in periods of one
// kind.
type lookBack struct {
	ledgers []*ledger
	window  slo.Period
	next    period
	read    int // periods before next that are known already
}

// pastRead is what reading a period brought, or the end of a backend's reading.
type pastRead struct {
	backend *backend
	over    bool
	ledger  *ledger
	window  slo.Period
	ended   ended
	err     error
}

// endedOf are the periods of a kind that ended, as a ledger counts them.
func (l *ledger) endedOf(window slo.Period) *endedPeriods {
	if l.ended == nil {
		l.ended = map[slo.Period]*endedPeriods{}
	}
	if l.ended[window] == nil {
		l.ended[window] = &endedPeriods{}
	}
	return l.ended[window]
}

// endedStatuses are the periods of an SLO that ended before an instant, nil while
// not all are read.
func (t *track) endedStatuses(end Minute) []PeriodStatus {
	window, l := t.slo.Window, t.ledger
	if window.IsRolling() {
		return []PeriodStatus{}
	}
	all := l.endedOf(window)
	if !l.preview {
		all.renew(window, l.book.timeline, end)
	}
	if !all.done {
		return nil
	}
	return all.statuses(t.slo)
}

// lookBacks are those that a backend's ledgers still need at an instant.
func (e *Evaluator) lookBacks(b *backend, at Minute) []*lookBack {
	var out []*lookBack
	for _, l := range e.ledgersOf(b) {
		if l.book == nil || l.preview || l.err != nil || l.pastRetry > at {
			continue
		}
		var seen []slo.Period
		for _, t := range e.byLedger[l] {
			window := t.slo.Window
			if window.IsRolling() || slices.Contains(seen, window) || l.endedOf(window).done {
				continue
			}
			seen = append(seen, window)
			next, read := l.endedOf(window).next(window, at), len(l.endedOf(window).list)
			i := slices.IndexFunc(out, func(k *lookBack) bool {
				return k.window == window && k.next == next && k.ledgers[0].meters[0].clockText() == l.meters[0].clockText()
			})
			if i < 0 {
				i = len(out)
				out = append(out, &lookBack{window: window, next: next, read: read})
			}
			out[i].ledgers, out[i].read = append(out[i].ledgers, l), min(out[i].read, read)
		}
	}
	return out
}

// run reads period by period until nothing is known of one. Each waits for a
// place among others that read.
func (k *lookBack) run(ctx context.Context, places chan struct{}, tell func(pastRead)) {
	b := k.ledgers[0].backend
	for ; len(k.ledgers) > 0 && k.read < maxPeriods && b.admit(ctx, places); k.read++ {
		var entries []*entry
		for _, l := range k.ledgers {
			entries = append(entries, &entry{ledger: l, book: l.newBook(k.next.start, l.leadIn)})
		}
		b.advance(ctx, entries, k.next.end, false)
		<-places
		if ctx.Err() != nil {
			return
		}
		k.ledgers = nil
		for _, en := range entries {
			r := pastRead{backend: b, ledger: en.ledger, window: k.window, ended: ended{period: k.next}, err: en.err}
			if en.err == nil {
				r.ended.sum = en.book.timeline.Sum(k.next.start, k.next.end)
			}
			tell(r)
			if en.err == nil && r.ended.sum.Known > 0 {
				k.ledgers = append(k.ledgers, en.ledger)
			}
		}
		k.next = periodAt(k.window, k.next.start)
	}
}

// readPast reads the periods of a backend's ledgers that ended, behind all else
// that is read.
func (e *Evaluator) readPast(ctx context.Context, b *backend, at Minute) {
	if b.lookingBack {
		return
	}
	due := e.lookBacks(b, at)
	if len(due) == 0 {
		return
	}
	b.lookingBack = true
	tell := func(r pastRead) {
		select {
		case e.past <- r:
		case <-ctx.Done():
		}
	}
	type stoppableBack struct {
		*lookBack
		ctx  context.Context
		done context.CancelFunc
	}
	var all []stoppableBack
	for _, k := range due {
		ctx, done := e.stoppable(ctx, k.ledgers)
		all = append(all, stoppableBack{k, ctx, done})
	}
	e.started.Go(func() {
		for _, k := range all {
			k.run(k.ctx, b.rereader, tell)
			k.done()
		}
		tell(pastRead{backend: b, over: true})
	})
}

// pastRetryAfter is the time after which a period that can't be read is tried
// again, in minutes.
const pastRetryAfter = 60

// takePast takes over what was read of a period that ended.
func (e *Evaluator) takePast(r pastRead) {
	l := r.ledger
	switch {
	case r.over:
		r.backend.lookingBack = false
		return
	case e.ledgers[l.key] != l || l.book == nil:
		return
	}
	at, all := l.book.timeline.End(), l.endedOf(r.window)
	switch {
	case all.done || all.next(r.window, at) != r.ended.period:
		return
	case r.err != nil && !refused(r.err):
		l.pastRetry = at + pastRetryAfter
		return
	}
	all.before(r.ended)
	if !all.done {
		return
	}
	for _, t := range e.byLedger[l] {
		if t.slo.Window == r.window && l.err == nil {
			t.status.Periods, e.unpublished = all.statuses(t.slo), true
		}
	}
}

// HistoryAt evaluates SLOs as EvaluateAt does, and reads their calendar periods
// that ended.
func (e *Evaluator) HistoryAt(ctx context.Context, slos []*slo.SLO, at time.Time) (*Report, error) {
	if _, err := e.EvaluateAt(ctx, slos, at); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // of what belongs to the goroutine of Run
	var failed error
	for _, b := range e.backends {
		for _, k := range e.lookBacks(b, e.end) {
			wg.Go(func() {
				k.run(ctx, b.readers, func(r pastRead) {
					mu.Lock()
					defer mu.Unlock()
					if r.err != nil && !refused(r.err) {
						failed = fmt.Errorf("reading %s of %s: %w", r.window.Name(r.ended.end.Time()), e.byLedger[r.ledger][0].slo.ID(), r.err)
					}
					e.takePast(r)
				})
			})
		}
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("reading periods that ended: %w", err)
	}
	e.publish()
	return e.Report(), failed
}
