package loop

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Calendar periods that ended lie before what timelines hold. They are read one by
// one, back to the first of which nothing is known, and only their sums are kept.

// periodReader are jobs that are read together and look back in periods of one
// kind, in which the same is excluded.
type periodReader struct {
	jobs []*job
	spec *slo.SLO // one of those that have such periods
	next timeline.Period
	read int // periods after next that are there already
}

// periodRead is what reading a period brought, or the end of a backend's reading.
type periodRead struct {
	backend *lane
	over    bool
	job     *job
	spec    *slo.SLO
	ended   evaluator.Ended
	err     error
}

// endedOf are the periods that ended of an SLO and of others with the same
// periods, in which the same is excluded, as a ledger counts them.
func (l *job) endedOf(s *slo.SLO) *evaluator.EndedPeriods {
	for _, p := range l.ended {
		if samePast(p.Spec, s) {
			return p
		}
	}
	p := &evaluator.EndedPeriods{Spec: s}
	l.ended = append(l.ended, p)
	return p
}

// samePast reports whether two SLOs of a ledger have the same past.
func samePast(a, b *slo.SLO) bool { return a.Window == b.Window && sameExclusions(a, b) }

// pastOf fills in the periods of an SLO that ended before an instant; they are nil
// while not all are read.
func (t *followed) pastOf(end timeline.Minute) {
	window, l := t.slo.Window, t.job
	if window.IsRolling() {
		t.status.Periods = []evaluator.PeriodStatus{}
		return
	}
	all := l.endedOf(t.slo)
	if !l.preview {
		all.Renew(window, t.timeline(), end)
	}
	t.took(all)
}

// took shows the periods that ended, if all are there.
func (t *followed) took(all *evaluator.EndedPeriods) {
	if t.status.Periods = nil; all.Done {
		t.status.Periods, t.status.MorePeriods = all.Statuses(t.slo), all.More
	}
}

// lookBacks are those that a backend's jobs still need at an instant.
func (e *Loop) lookBacks(b *lane, at timeline.Minute) []*periodReader {
	var out []*periodReader
	for _, l := range e.jobsOf(b) {
		if l.book == nil || l.preview || l.err != nil || l.pastRetry > at {
			continue
		}
		var seen []*evaluator.EndedPeriods
		for _, t := range e.byJob[l] {
			if t.slo.Window.IsRolling() {
				continue
			}
			past := l.endedOf(t.slo)
			if slices.Contains(seen, past) || past.Done {
				continue
			}
			seen = append(seen, past)
			next, read := past.Next(t.slo.Window, at), len(past.List)
			i := slices.IndexFunc(out, func(k *periodReader) bool {
				return samePast(k.spec, t.slo) && k.next == next && k.jobs[0].Inputs[0].ClockText() == l.Inputs[0].ClockText()
			})
			if i < 0 {
				i = len(out)
				out = append(out, &periodReader{spec: t.slo, next: next, read: read})
			}
			out[i].jobs, out[i].read = append(out[i].jobs, l), min(out[i].read, read)
		}
	}
	return out
}

// run reads period by period, as far back as there is data. Each waits for a
// place among others that read.
func (k *periodReader) run(ctx context.Context, places chan struct{}, tell func(periodRead)) {
	b := k.jobs[0].lane
	for ; len(k.jobs) > 0 && k.read <= evaluator.MaxPeriods && admit(ctx, places); k.read++ {
		var entries []*history.Read
		for _, l := range k.jobs {
			entries = append(entries, &history.Read{Record: history.NewRecord(l.Plan, k.next.Start, l.LeadIn)})
		}
		b.Advance(ctx, entries, k.next.End, false)
		var reads []periodRead
		for i, en := range entries {
			r := periodRead{backend: b, job: k.jobs[i], spec: k.spec, ended: evaluator.Ended{Period: k.next}, err: en.Err}
			if en.Err == nil {
				r.ended.Sum = en.Record.Timeline.ViewFor(k.spec).Sum(k.next.Start, k.next.End)
			}
			reads = append(reads, r)
		}
		<-places
		if ctx.Err() != nil {
			return
		}
		k.jobs = nil
		for _, r := range reads {
			tell(r)
			if r.err == nil && r.ended.Sum.Known > 0 {
				k.jobs = append(k.jobs, r.job)
			}
		}
		k.next = evaluator.PeriodAt(k.spec.Window, k.next.Start)
	}
}

// readPast reads the periods of a backend's jobs that ended, behind all else
// that is read.
func (e *Loop) readPast(ctx context.Context, b *lane, at timeline.Minute) {
	if b.lookingBack {
		return
	}
	due := e.lookBacks(b, at)
	if len(due) == 0 {
		return
	}
	b.lookingBack = true
	tell := func(r periodRead) {
		select {
		case e.past <- r:
		case <-ctx.Done():
		}
	}
	type stoppableBack struct {
		*periodReader
		ctx  context.Context
		done context.CancelFunc
	}
	var all []stoppableBack
	for _, k := range due {
		ctx, done := e.stoppable(ctx, k.jobs)
		all = append(all, stoppableBack{k, ctx, done})
	}
	e.started.Go(func() {
		for _, k := range all {
			k.run(k.ctx, b.rereader, tell)
			k.done()
		}
		tell(periodRead{backend: b, over: true})
	})
}

// pastRetryAfter is the time after which a period that can't be read is tried
// again, in minutes.
const pastRetryAfter = 60

// takePast takes over what was read of a period that ended.
func (e *Loop) takePast(r periodRead) {
	l := r.job
	switch {
	case r.over:
		r.backend.lookingBack = false
		return
	case e.jobs[l.Key] != l || l.book == nil:
		return
	}
	at, all := l.book.Timeline.End(), l.endedOf(r.spec)
	switch {
	case all.Done || all.Next(r.spec.Window, at) != r.ended.Period:
		return
	case r.err != nil && !backend.Refused(r.err):
		l.pastRetry = at + pastRetryAfter
		return
	}
	all.AddOlder(r.ended)
	if !all.Done {
		return
	}
	for _, t := range e.byJob[l] {
		if samePast(t.slo, r.spec) && l.err == nil {
			t.took(all)
			e.unpublished = true
		}
	}
}

// HistoryAt evaluates SLOs as EvaluateAt does, and reads their calendar periods
// that ended.
func (e *Loop) HistoryAt(ctx context.Context, slos []*slo.SLO, at time.Time) (*evaluator.Report, error) {
	if _, err := e.EvaluateAt(ctx, slos, at); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // of what belongs to the goroutine of Run
	var failed error
	for _, b := range e.backends {
		for _, k := range e.lookBacks(b, e.end) {
			wg.Go(func() {
				k.run(ctx, b.readers, func(r periodRead) {
					mu.Lock()
					defer mu.Unlock()
					if r.err != nil && !backend.Refused(r.err) {
						failed = fmt.Errorf("reading %s of %s: %w", r.spec.Window.Name(r.ended.End.Time()), e.byJob[r.job][0].slo.ID(), r.err)
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
