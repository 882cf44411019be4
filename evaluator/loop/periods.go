package loop

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Timelines hold the present calendar period. Those before it are read one by one, back to
// the first without data, and only their sums are kept.

// periodReader reads past periods of jobs that are read together, have periods of one
// kind and exclude the same.
type periodReader struct {
	jobs []*job
	spec *slo.SLO // one of those that have such periods
	next timeline.Period
	done int // periods after next that are there already
}

// periodResult is one period that was read, or the end of a backend's reads.
type periodResult struct {
	backend *lane
	done    bool
	job     *job
	spec    *slo.SLO
	ended   evaluator.Ended
	err     error
}

// periodsOf returns the past periods of an SLO. SLOs of the job with the same periods
// and exclusions share them.
func (j *job) periodsOf(s *slo.SLO) *evaluator.EndedPeriods {
	for _, p := range j.endedPeriods {
		if samePeriods(p.Spec, s) {
			return p
		}
	}
	p := &evaluator.EndedPeriods{Spec: s}
	j.endedPeriods = append(j.endedPeriods, p)
	return p
}

// samePeriods reports whether two SLOs of a job have the same past periods.
func samePeriods(a, b *slo.SLO) bool { return a.Window == b.Window && sameExclusions(a, b) }

// fillPeriods sets the past periods of an SLO's status. They are nil until all are read.
func (t *followed) fillPeriods(end timeline.Minute) {
	window, j := t.slo.Window, t.job
	if window.IsRolling() {
		t.status.Periods = []evaluator.PeriodStatus{}
		return
	}
	all := j.periodsOf(t.slo)
	if !j.newestOnly {
		all.Renew(window, t.timeline(), end)
	}
	t.showPeriods(all)
}

// showPeriods sets the past periods of an SLO's status if all are read.
func (t *followed) showPeriods(all *evaluator.EndedPeriods) {
	if t.status.Periods = nil; all.Done {
		t.status.Periods, t.status.MorePeriods = all.Statuses(t.slo), all.More
	}
}

// periodReaders returns the reads of past periods that a backend's jobs still need.
func (st *state) periodReaders(b *lane, at timeline.Minute) []*periodReader {
	var out []*periodReader
	for _, j := range st.jobsOf(b) {
		if j.record == nil || j.newestOnly || j.err != nil || j.periodsRetry > at {
			continue
		}
		var seen []*evaluator.EndedPeriods
		for _, t := range st.byJob[j] {
			if t.slo.Window.IsRolling() {
				continue
			}
			past := j.periodsOf(t.slo)
			if slices.Contains(seen, past) || past.Done {
				continue
			}
			seen = append(seen, past)
			next, done := past.Next(t.slo.Window, at), len(past.List)
			i := slices.IndexFunc(out, func(k *periodReader) bool {
				return samePeriods(k.spec, t.slo) && k.next == next && k.jobs[0].Inputs[0].ClockText() == j.Inputs[0].ClockText()
			})
			if i < 0 {
				i = len(out)
				out = append(out, &periodReader{spec: t.slo, next: next, done: done})
			}
			out[i].jobs, out[i].done = append(out[i].jobs, j), min(out[i].done, done)
		}
	}
	return out
}

// read reads period by period, as far back as there is data. Each period waits for a
// free slot.
func (k *periodReader) read(ctx context.Context, places chan struct{}, deliver func(periodResult)) {
	b := k.jobs[0].lane
	for ; len(k.jobs) > 0 && k.done <= evaluator.MaxPeriods && admit(ctx, places); k.done++ {
		var entries []*history.Read
		for _, j := range k.jobs {
			entries = append(entries, &history.Read{Record: history.NewRecord(j.Plan, k.next.Start, j.LeadIn)})
		}
		b.Advance(ctx, entries, k.next.End, false)
		var reads []periodResult
		for i, en := range entries {
			r := periodResult{backend: b, job: k.jobs[i], spec: k.spec, ended: evaluator.Ended{Period: k.next}, err: en.Err}
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
			deliver(r)
			if r.err == nil && r.ended.Sum.Known > 0 {
				k.jobs = append(k.jobs, r.job)
			}
		}
		k.next = evaluator.PeriodAt(k.spec.Window, k.next.Start)
	}
}

// readPeriods starts to read the past periods of a backend's jobs, after all other
// reads.
func (st *state) readPeriods(ctx context.Context, b *lane, at timeline.Minute) {
	if b.readingPeriods {
		return
	}
	due := st.periodReaders(b, at)
	if len(due) == 0 {
		return
	}
	b.readingPeriods = true
	results := st.periodResults
	deliver := func(r periodResult) { send(ctx, results, r) }
	type stoppableBack struct {
		*periodReader
		ctx  context.Context
		done context.CancelFunc
	}
	var all []stoppableBack
	for _, k := range due {
		ctx, done := st.stoppable(ctx, k.jobs)
		all = append(all, stoppableBack{k, ctx, done})
	}
	st.started.Go(func() {
		for _, k := range all {
			k.read(k.ctx, b.rereadSlots, deliver)
			k.done()
		}
		deliver(periodResult{backend: b, done: true})
	})
}

// periodRetryAfter is the time in minutes after which a failed period is tried again.
const periodRetryAfter = 60

// takePeriod stores a period that was read.
func (st *state) takePeriod(r periodResult) {
	j := r.job
	switch {
	case r.done:
		r.backend.readingPeriods = false
		return
	case st.jobs[j.Key] != j || j.record == nil:
		return
	}
	at, all := j.record.Timeline.End(), j.periodsOf(r.spec)
	switch {
	case all.Done || all.Next(r.spec.Window, at) != r.ended.Period:
		return
	case r.err != nil && !backend.Refused(r.err):
		j.periodsRetry = at + periodRetryAfter
		return
	}
	all.AddOlder(r.ended)
	if !all.Done {
		return
	}
	for _, t := range st.byJob[j] {
		if samePeriods(t.slo, r.spec) && j.err == nil {
			t.showPeriods(all)
			st.unpublished = true
		}
	}
}
