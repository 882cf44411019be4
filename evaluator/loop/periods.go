package loop

import (
	"context"
	"fmt"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Timelines hold the present calendar period. Those before it are read one by one, back to
// the first without data, and only their sums are kept.

// periodRead reads a past period of jobs that are read together, have periods of one kind
// and exclude the same.
type periodRead struct {
	jobs   []*job
	spec   *slo.SLO // one of those that have such periods
	period timeline.Period
	sums   []timeline.Sum // of the jobs
	errs   []error
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
	if t.slo.Window.IsRolling() {
		return
	}
	all := t.job.periodsOf(t.slo)
	if !t.job.newestOnly {
		all.Renew(t.timeline(), end)
	}
	t.status.Periods, t.status.MorePeriods = all.Statuses(t.slo, end)
}

// duePeriods returns the newest past periods that a backend's jobs still need.
func (st *state) duePeriods(b *lane, at timeline.Minute) []*periodRead {
	var out []*periodRead
	for _, j := range st.jobsOf(b) {
		if !j.complete() || j.err != nil || j.periodsRetry > at {
			continue
		}
		for _, t := range st.byJob[j] {
			if t.slo.Window.IsRolling() {
				continue
			}
			next, ok := j.periodsOf(t.slo).Next(at)
			if !ok {
				continue
			}
			i := slices.IndexFunc(out, func(k *periodRead) bool {
				return samePeriods(k.spec, t.slo) && k.period == next && k.jobs[0].Inputs[0].ClockText() == j.Inputs[0].ClockText()
			})
			if i < 0 {
				i = len(out)
				out = append(out, &periodRead{spec: t.slo, period: next})
			}
			if !slices.Contains(out[i].jobs, j) {
				out[i].jobs = append(out[i].jobs, j)
			}
		}
	}
	return out
}

// read reads the period when there is a free slot. It reports false if ctx ends before.
func (k *periodRead) read(ctx context.Context, b *lane, places chan struct{}) bool {
	if !admit(ctx, places) {
		return false
	}
	var entries []*history.Read
	for _, j := range k.jobs {
		entries = append(entries, &history.Read{Record: history.NewRecord(j.Plan, k.period.Start, j.LeadIn)})
	}
	b.Advance(ctx, entries, k.period.End, false)
	<-places
	for _, en := range entries {
		k.sums = append(k.sums, en.Record.Timeline.ViewFor(k.spec).Sum(k.period.Start, k.period.End))
		k.errs = append(k.errs, en.Err)
	}
	return ctx.Err() == nil
}

// readPeriods starts to read the past periods of a backend's jobs, after all other
// reads.
func (st *state) readPeriods(ctx context.Context, b *lane, at timeline.Minute) {
	if b.readingPeriods {
		return
	}
	due := st.duePeriods(b, at)
	if len(due) == 0 {
		return
	}
	b.readingPeriods = true
	st.background(ctx, func(deliver func(func())) {
		for _, k := range due {
			if k.read(ctx, b, b.slots[stageReread]) {
				deliver(func() { _ = st.takePeriod(k) }) // it is tried again
			}
		}
		deliver(func() {
			b.readingPeriods = false
			st.readPeriods(ctx, b, at) // the ones before these
		})
	})
}

// periodRetryAfter is the time in minutes after which a failed period is tried again.
const periodRetryAfter = 60

// takePeriod stores a period that was read. The error is that of a backend that could not
// be read.
func (st *state) takePeriod(k *periodRead) (failed error) {
	for i, j := range k.jobs {
		if st.jobs[j.Key] != j || j.record == nil {
			continue
		}
		at, sum, err := j.record.Timeline.End(), k.sums[i], k.errs[i]
		switch {
		case err != nil && !backend.Refused(err):
			j.periodsRetry = at + periodRetryAfter
			failed = fmt.Errorf("reading %s of %s: %w", k.spec.Window.Name(k.period.End.Time()), st.byJob[j][0].slo.ID(), err)
			continue
		case err != nil:
			sum = timeline.Sum{}
		}
		all := j.periodsOf(k.spec)
		all.Add(k.period, sum)
		for _, t := range st.byJob[j] {
			if samePeriods(t.slo, k.spec) && j.err == nil {
				t.status.Periods, t.status.MorePeriods = all.Statuses(t.slo, at)
				st.unpublished = st.unpublished || t.status.Periods != nil
			}
		}
	}
	return failed
}
