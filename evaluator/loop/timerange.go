package loop

import (
	"context"
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Range contains the events of an SLO in a time, as far as the timeline has them.
type Range struct {
	HeldFrom, HeldTo time.Time          // the timeline of the SLO; zero before it is read
	Sum              timeline.Sum       // of the time; of no slots when none of it is held
	Parts            []evaluator.Bucket // of the time, for pictures; they are equal, so the first may begin before it
	Excluded         []slo.Span         // that touch the time, in order
}

// question answers somebody. It reports false while a cycle holds what it is about.
type question func(*state) bool

// CountsBetween returns the events of an SLO from one instant to another: of the slots
// that end between them, and the one that contains the last instant. It waits while the
// newest slots are read. The Range of an unknown SLO is empty. The error is the end of
// ctx.
func (l *Loop) CountsBetween(ctx context.Context, id string, from, to time.Time) (*Range, error) {
	answer := make(chan *Range, 1)
	if !send(ctx, l.questions, func(st *state) bool {
		t := st.followed[id]
		if t == nil || t.job.record == nil {
			answer <- &Range{}
			return true
		}
		return t.job.tryRecord(func() { answer <- t.countsBetween(timeline.MinuteOf(from), timeline.MinuteOf(to.Add(time.Minute-1))) })
	}) {
		return nil, ctx.Err()
	}
	select {
	case s := <-answer:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reply tries to answer the questions that wait.
func (st *state) reply() {
	st.waiting = slices.DeleteFunc(st.waiting, func(answer question) bool { return answer(st) })
}

// countsBetween returns the events in (from, to]. Folded slots come in whole quarters of
// an hour. It uses a view of its own, because that of the SLO shows what its judge saw.
func (t *followed) countsBetween(from, to timeline.Minute) *Range {
	rec := t.job.record
	var own timeline.View
	v, _ := own.Update(rec.Timeline, t.job.cuts, rec.Settled, t.slo)
	out := &Range{HeldFrom: v.Start().Time(), HeldTo: v.End().Time()}
	if to < v.FineFrom && to%timeline.Quarter != 0 {
		to += timeline.Quarter - to%timeline.Quarter
	}
	from, to = max(from, v.Start()), min(to, v.End())
	if from >= to {
		return out
	}
	out.Sum = v.Sum(from, to)
	length := to - out.Sum.Start
	each := (length + evaluator.Buckets - 1) / evaluator.Buckets
	if from < v.FineFrom {
		each = (each + timeline.Quarter - 1) / timeline.Quarter * timeline.Quarter
	}
	n := max((length+each-1)/each, 2) // one part alone would not show its length
	out.Parts = evaluator.Parts(v, to, n*each, n)
	for _, x := range own.Spans {
		if timeline.MinuteOf(x.To) > to-n*each && timeline.MinuteOf(x.From) < to {
			out.Excluded = append(out.Excluded, x)
		}
	}
	return out
}
