package loop

import (
	"context"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Range is what happened of an SLO in a time, as far as that is held.
type Range struct {
	HeldFrom, HeldTo time.Time          // what is held of the SLO; zero while nothing is
	Sum              timeline.Sum       // of the time; of no slots when none of it is held
	Parts            []evaluator.Bucket // of the time, for pictures; they are equal, so the first may begin before it
	Excluded         []slo.Span         // that touch the time, in order
}

// question asks for a stretch.
type question struct {
	id       string
	from, to timeline.Minute
	answer   chan<- *Range // holds one
}

// CountsBetween is what happened of an SLO from one instant to another, in the slots that end
// between them and the one in which the last instant lies. Of an SLO that there is
// not, nothing is held. It waits while the newest slots of the SLO are read; the error
// is the end of ctx.
func (e *Loop) CountsBetween(ctx context.Context, id string, from, to time.Time) (*Range, error) {
	answer := make(chan *Range, 1)
	select {
	case e.questions <- question{id, timeline.MinuteOf(from), timeline.MinuteOf(to.Add(time.Minute - 1)), answer}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case s := <-answer:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reply answers a question, or keeps it while a cycle changes the SLO's book.
func (e *Loop) reply(q question) {
	t := e.tracks[q.id]
	switch {
	case t == nil || t.job.book == nil:
		q.answer <- &Range{}
	case !t.job.changing.TryLock():
		e.unanswered = append(e.unanswered, q)
	default:
		q.answer <- t.stretch(q.from, q.to)
		t.job.changing.Unlock()
	}
}

// replyAll tries again what was not answered.
func (e *Loop) replyAll() {
	all := e.unanswered
	e.unanswered = nil
	for _, q := range all {
		e.reply(q)
	}
}

// stretch is what happened in (from, to]. What is folded is taken in whole quarters
// of an hour. Its view is its own: that of the track tells what its judge saw.
func (t *followed) stretch(from, to timeline.Minute) *Range {
	k := t.job.book
	var own timeline.View
	v, _ := own.Update(k.Timeline, t.job.cuts, k.Settled, t.slo)
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
	n := max((length+each-1)/each, 2) // of a single one a picture can't tell the length
	out.Parts = evaluator.Parts(v, to, n*each, n)
	for _, x := range own.Spans {
		if timeline.MinuteOf(x.To) > to-n*each && timeline.MinuteOf(x.From) < to {
			out.Excluded = append(out.Excluded, x)
		}
	}
	return out
}
