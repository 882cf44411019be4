package loop

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
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
	var v *timeline.Timeline
	v, t.rough = t.view.Update(k.Timeline, t.job.cuts, k.Settled, t.slo)
	return v
}

// sameExclusions reports whether two SLOs exclude the same times.
func sameExclusions(a, b *slo.SLO) bool {
	return slices.EqualFunc(a.Exclusions, b.Exclusions, func(x, y slo.Exclusion) bool {
		return x.From.Equal(y.From) && x.To.Equal(y.To) && x.OperatingHours == y.OperatingHours && reflect.DeepEqual(x.Intervals, y.Intervals)
	})
}

// refine has a track judged anew when its view got the slots that it lacked.
func (e *Loop) refine(t *followed) {
	if len(t.rough) == 0 {
		return
	}
	if t.timeline(); len(t.rough) == 0 && e.NewJudge != nil {
		t.judge, t.replayed = e.NewJudge(), true
	}
}

// date notes whether a judge that looked back over folded slots can have dated
// alerts wrong: those that began when a window of theirs was folded already.
func (t *followed) date(alerts []evaluator.FiringAlert) {
	if !t.replayed {
		return
	}
	t.replayed = false
	t.undated = slices.ContainsFunc(alerts, func(a evaluator.FiringAlert) bool {
		for _, w := range a.Windows {
			if d, err := model.ParseDuration(w); err == nil && timeline.MinuteOf(a.Since)-timeline.Minute(time.Duration(d)/time.Minute) < t.job.book.Timeline.FineFrom {
				return true
			}
		}
		return false
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

// roughOf are the quarters of an hour whose slots a ledger lacks, in order.
func (e *Loop) roughOf(l *job) []timeline.Minute {
	var out []timeline.Minute
	for _, t := range e.byJob[l] {
		out = append(out, t.rough...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// readCuts reads again, beside the cycles, the folded quarters of an hour that
// new exclusions cut. Until that is done an exclusion excludes the whole quarters
// within it: the numbers are nearer to what they were without it. All history is
// read again when the slots of a quarter are not those that were counted, because
// data came late, and when it takes single slots to know since when an alert fires.
func (e *Loop) readCuts(ctx context.Context, b *lane) {
	var due []*job
	for _, l := range e.jobsOf(b) {
		if l.book == nil || l.err != nil || l.preview || l.cutting || l.rereading {
			continue
		}
		rough := e.roughOf(l)
		undated := slices.ContainsFunc(e.byJob[l], func(t *followed) bool { return t.undated })
		switch {
		case slices.ContainsFunc(rough, func(from timeline.Minute) bool { _, read := l.cuts[from]; return read }) || len(rough) == 0 && undated:
			e.rereadWhole(ctx, []*job{l})
		case len(rough) > 0:
			due = append(due, l)
		}
	}
	for _, family := range families(due) {
		at := map[timeline.Minute][]*job{}
		for _, l := range family {
			l.cutting = true
			for _, from := range e.roughOf(l) {
				at[from] = append(at[from], l)
			}
		}
		methods := map[*job][]plan.Choice{}
		for _, l := range family {
			methods[l] = l.book.Choices()
		}
		ctx, done := e.stoppable(ctx, family)
		e.started.Go(func() {
			defer done()
			w := historyRead{span: stageSingle}
			for _, from := range slices.Sorted(maps.Keys(at)) {
				w.entries = append(w.entries, readQuarter(ctx, b, from, at[from], methods)...)
			}
			select {
			case e.warmed <- w:
			case <-ctx.Done():
			}
		})
	}
}

// quarterMore is how much is read behind a quarter of an hour: until then it
// shows whether its last slots are known.
const quarterMore = timeline.Minute(timeline.FinalAge)

// readQuarter reads a quarter of an hour of jobs that are read together.
func readQuarter(ctx context.Context, b *lane, from timeline.Minute, jobs []*job, methods map[*job][]plan.Choice) []*history.Read {
	var entries []*history.Read
	for _, l := range jobs {
		en := &history.Read{Record: history.NewRecord(l.Plan, from, l.NewestLeadIn())}
		en.Record.Inputs, en.Record.Piece = history.Chosen(methods[l]), history.MaxPiece
		entries = append(entries, en)
	}
	if admit(ctx, b.readers) {
		b.Advance(ctx, entries, from+timeline.Quarter+quarterMore, false)
		<-b.readers
	}
	return entries
}

// takeCuts takes over the quarters of an hour that were read.
func (e *Loop) takeCuts(entries []*history.Read) {
	var jobs []*job
	for _, en := range entries {
		l := e.jobOf(en.Record.Plan)
		if l == nil {
			continue
		}
		if !slices.Contains(jobs, l) {
			jobs = append(jobs, l)
			l.cutting = false
		}
		if en.Err != nil {
			e.Log.Warn("Slots that an exclusion cuts can't be read", "slo_id", e.byJob[l][0].slo.ID(), "backend", l.lane.Name, "err", en.Err)
			continue
		}
		if !en.Done {
			continue // it was stopped
		}
		if l.cuts == nil {
			l.cuts = timeline.Cuts{}
		}
		l.cuts[en.Record.Timeline.Start()] = timeline.CutOf(en.Record.Timeline, en.Record.Timeline.Start())
	}
	for _, l := range jobs {
		if !l.lane.busy && l.book != nil && l.err == nil {
			e.evaluateAll(l, l.book.Timeline.End())
		}
	}
}
