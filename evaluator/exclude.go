package evaluator

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/slo"
)

// spec is the SLO as it was promised for an instant.
func (t *track) spec(end Minute) *slo.SLO { return t.slo.At(end.Time()) }

// timeline is what the numbers of an SLO are computed from, until the ledger's
// changes.
func (t *track) timeline() *Timeline {
	k := t.job.book
	if len(t.slo.Exclusions) == 0 {
		return k.timeline
	}
	var v *Timeline
	v, t.rough = t.view.of(k.timeline, t.job.cuts, k.settled, t.slo)
	return v
}

// sameExclusions reports whether two SLOs exclude the same times.
func sameExclusions(a, b *slo.SLO) bool {
	return slices.EqualFunc(a.Exclusions, b.Exclusions, func(x, y slo.Exclusion) bool {
		return x.From.Equal(y.From) && x.To.Equal(y.To) && x.OperatingHours == y.OperatingHours && reflect.DeepEqual(x.Intervals, y.Intervals)
	})
}

// refine has a track judged anew when its view got the slots that it lacked.
func (e *Evaluator) refine(t *track) {
	if len(t.rough) == 0 {
		return
	}
	if t.timeline(); len(t.rough) == 0 && e.NewJudge != nil {
		t.judge, t.replayed = e.NewJudge(), true
	}
}

// date notes whether a judge that looked back over folded slots can have dated
// alerts wrong: those that began when a window of theirs was folded already.
func (t *track) date(alerts []FiringAlert) {
	if !t.replayed {
		return
	}
	t.replayed = false
	t.undated = slices.ContainsFunc(alerts, func(a FiringAlert) bool {
		for _, w := range a.Windows {
			if d, err := model.ParseDuration(w); err == nil && MinuteOf(a.Since)-Minute(time.Duration(d)/time.Minute) < t.job.book.timeline.fineFrom {
				return true
			}
		}
		return false
	})
}

// keepCuts keeps the slots that are folded next and that exclusions cut.
func (l *job) keepCuts(tracks []*track) {
	k := l.book
	for _, t := range tracks {
		if len(t.slo.Exclusions) > 0 {
			t.timeline()
			if l.cuts == nil {
				l.cuts = cuts{}
			}
			l.cuts.keep(k.timeline, k.settled-fineAge, t.view.times)
		}
	}
	l.cuts.forget(k.timeline.Start())
}

// roughOf are the quarters of an hour whose slots a ledger lacks, in order.
func (e *Evaluator) roughOf(l *job) []Minute {
	var out []Minute
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
func (e *Evaluator) readCuts(ctx context.Context, b *lane) {
	var due []*job
	for _, l := range e.jobsOf(b) {
		if l.book == nil || l.err != nil || l.preview || l.cutting || l.rereading {
			continue
		}
		rough := e.roughOf(l)
		undated := slices.ContainsFunc(e.byJob[l], func(t *track) bool { return t.undated })
		switch {
		case slices.ContainsFunc(rough, func(from Minute) bool { _, read := l.cuts[from]; return read }) || len(rough) == 0 && undated:
			e.rereadWhole(ctx, []*job{l})
		case len(rough) > 0:
			due = append(due, l)
		}
	}
	for _, family := range families(due) {
		at := map[Minute][]*job{}
		for _, l := range family {
			l.cutting = true
			for _, from := range e.roughOf(l) {
				at[from] = append(at[from], l)
			}
		}
		methods := map[*job][]choice{}
		for _, l := range family {
			methods[l] = l.book.choices()
		}
		ctx, done := e.stoppable(ctx, family)
		e.started.Go(func() {
			defer done()
			w := warmth{span: single}
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
const quarterMore = Minute(steady)

// readQuarter reads a quarter of an hour of jobs that are read together.
func readQuarter(ctx context.Context, b *lane, from Minute, jobs []*job, methods map[*job][]choice) []*entry {
	var entries []*entry
	for _, l := range jobs {
		en := &entry{book: newBook(l.plan, from, l.newestLeadIn())}
		en.book.parts, en.book.piece = chosen(methods[l]), maxPiece
		entries = append(entries, en)
	}
	if admit(ctx, b.readers) {
		b.advance(ctx, entries, from+quarter+quarterMore, false)
		<-b.readers
	}
	return entries
}

// takeCuts takes over the quarters of an hour that were read.
func (e *Evaluator) takeCuts(entries []*entry) {
	var jobs []*job
	for _, en := range entries {
		l := e.jobOf(en.book.plan)
		if l == nil {
			continue
		}
		if !slices.Contains(jobs, l) {
			jobs = append(jobs, l)
			l.cutting = false
		}
		if en.err != nil {
			e.Log.Warn("Slots that an exclusion cuts can't be read", "slo_id", e.byJob[l][0].slo.ID(), "backend", l.lane.Name, "err", en.err)
			continue
		}
		if !en.done {
			continue // it was stopped
		}
		if l.cuts == nil {
			l.cuts = cuts{}
		}
		l.cuts[en.book.timeline.Start()] = cutOf(en.book.timeline, en.book.timeline.Start())
	}
	for _, l := range jobs {
		if !l.lane.busy && l.book != nil && l.err == nil {
			e.evaluateAll(l, l.book.timeline.End())
		}
	}
}

// exclude fills in what is excluded of the SLO's own window.
func (s *Status) exclude(t *Timeline, end Minute, v *view) {
	if len(s.Windows) == 0 || len(s.Spec.Exclusions) == 0 {
		return
	}
	start := MinuteOf(s.Windows[len(s.Windows)-1].Start)
	gone := t.Removed(start, end)
	s.Excluded.Total, s.Excluded.Bad, s.Excluded.Slots, s.Excluded.Now = gone.Total, gone.Bad, gone.Excluded, t.Excludes(end)
	for _, x := range v.spans {
		if MinuteOf(x.To) > start && MinuteOf(x.From) < end {
			s.Excluded.Spans = append(s.Excluded.Spans, x)
		}
	}
	parts := t.removedBy(start, end, len(v.each))
	for i, times := range v.each {
		if !slices.ContainsFunc(times, func(a away) bool { return a.to > start && a.from < end }) {
			continue
		}
		x := &s.Spec.Exclusions[i]
		out := Exclusion{
			Total: parts[i].Total, Bad: parts[i].Bad, Slots: parts[i].Excluded,
			Reason: x.Reason, Ticket: x.Ticket, Source: x.Origin.Source, File: x.Origin.File, Line: x.Origin.Line,
		}
		if len(x.Intervals) == 0 {
			from, to := x.From.UTC(), x.To.UTC()
			out.From, out.To = &from, &to
		}
		s.Excluded.By = append(s.Excluded.By, out)
	}
}
