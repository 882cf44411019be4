package loop

import (
	"context"
	"reflect"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// sloAt returns the SLO with the objective that was promised for an instant.
func (t *followed) sloAt(end timeline.Minute) *slo.SLO { return t.slo.At(end.Time()) }

// timeline returns the timeline without excluded slots. It is valid until the job's
// timeline changes.
func (t *followed) timeline() *timeline.Timeline {
	rec := t.job.record
	if len(t.slo.Exclusions) == 0 {
		return rec.Timeline
	}
	v, exact := t.view.Update(rec.Timeline, t.job.cuts, rec.Settled, t.slo)
	t.inexact = !exact
	return v
}

// sameExclusions reports whether two SLOs exclude the same times.
func sameExclusions(a, b *slo.SLO) bool {
	return slices.EqualFunc(a.Exclusions, b.Exclusions, func(x, y slo.Exclusion) bool {
		return x.From.Equal(y.From) && x.To.Equal(y.To) && x.OperatingHours == y.OperatingHours && reflect.DeepEqual(x.Intervals, y.Intervals)
	})
}

// keepCuts stores the slots that are folded next and that exclusions cut.
func (j *job) keepCuts(tracks []*followed) {
	rec := j.record
	for _, t := range tracks {
		if len(t.slo.Exclusions) > 0 {
			t.timeline()
			if j.cuts == nil {
				j.cuts = timeline.Cuts{}
			}
			j.cuts.Keep(rec.Timeline, rec.Settled-timeline.FineAge, t.view.Times)
		}
	}
	j.cuts.Forget(rec.Timeline.Start())
}

// readCuts reads the history of jobs again if their exclusions begin or end within folded
// quarters of an hour, whose single slots are lost. Until that is done only the whole
// quarters within an exclusion are excluded. It is done once, because the backend may have lost it.
func (st *state) readCuts(ctx context.Context, b *lane) {
	for _, family := range families(st.jobsOf(b)) {
		var due []*job
		for _, j := range family {
			if !j.complete() || j.err != nil || j.rereading || j.fresh != nil {
				continue
			}
			lacks := false
			for _, t := range st.byJob[j] {
				lacks = lacks || t.inexact && !t.cutsRead
				t.cutsRead = t.cutsRead || t.inexact
			}
			if lacks {
				due = append(due, j)
			}
		}
		st.rereadWhole(ctx, due, rereadOptions{cuts: true})
	}
}
