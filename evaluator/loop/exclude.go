package loop

import (
	"context"
	"reflect"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// spec is the SLO as it was promised for an instant.
func (t *followed) spec(end timeline.Minute) *slo.SLO { return t.slo.At(end.Time()) }

// timeline is what the numbers of an SLO are computed from, until the ledger's
// changes.
func (t *followed) timeline() *timeline.Timeline {
	k := t.job.book
	if len(t.slo.Exclusions) == 0 {
		return k.Timeline
	}
	v, exact := t.view.Update(k.Timeline, t.job.cuts, k.Settled, t.slo)
	t.inexact = !exact
	return v
}

// sameExclusions reports whether two SLOs exclude the same times.
func sameExclusions(a, b *slo.SLO) bool {
	return slices.EqualFunc(a.Exclusions, b.Exclusions, func(x, y slo.Exclusion) bool {
		return x.From.Equal(y.From) && x.To.Equal(y.To) && x.OperatingHours == y.OperatingHours && reflect.DeepEqual(x.Intervals, y.Intervals)
	})
}

// keepCuts keeps the slots that are folded next and that exclusions cut.
func (l *job) keepCuts(tracks []*followed) {
	k := l.book
	for _, t := range tracks {
		if len(t.slo.Exclusions) > 0 {
			t.timeline()
			if l.cuts == nil {
				l.cuts = timeline.Cuts{}
			}
			l.cuts.Keep(k.Timeline, k.Settled-timeline.FineAge, t.view.Times)
		}
	}
	l.cuts.Forget(k.Timeline.Start())
}

// readCuts reads the history of jobs again if their exclusions begin or end within folded
// quarters of an hour, whose single slots are lost. Until that is done only the whole
// quarters within an exclusion are excluded. What the backend has no longer is read once.
func (e *Loop) readCuts(ctx context.Context, b *lane) {
	for _, family := range families(e.jobsOf(b)) {
		var due []*job
		for _, l := range family {
			if l.book == nil || l.err != nil || l.preview || l.rereading || l.next != nil {
				continue
			}
			lacks := false
			for _, t := range e.byJob[l] {
				lacks = lacks || t.inexact && !t.cutsRead
				t.cutsRead = t.cutsRead || t.inexact
			}
			if lacks {
				due = append(due, l)
			}
		}
		e.rereadWhole(ctx, due)
	}
}
