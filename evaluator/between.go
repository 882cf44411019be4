package evaluator

import (
	"context"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// Stretch is what happened of an SLO in a time, as far as that is held.
type Stretch struct {
	HeldFrom, HeldTo time.Time  // what is held of the SLO; zero while nothing is
	Sum              Sum        // of the time; of no slots when none of it is held
	Parts            []Bucket   // of the time, for pictures; they are equal, so the first may begin before it
	Excluded         []slo.Span // that touch the time, in order
}

// question asks for a stretch.
type question struct {
	id       string
	from, to Minute
	answer   chan<- *Stretch // holds one
}

// Between is what happened of an SLO from one instant to another, in the slots that end
// between them and the one in which the last instant lies. Of an SLO that there is
// not, nothing is held. It waits while the newest slots of the SLO are read; the error
// is the end of ctx.
func (e *Evaluator) Between(ctx context.Context, id string, from, to time.Time) (*Stretch, error) {
	answer := make(chan *Stretch, 1)
	select {
	case e.questions <- question{id, MinuteOf(from), MinuteOf(to.Add(time.Minute - 1)), answer}:
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
func (e *Evaluator) reply(q question) {
	t := e.tracks[q.id]
	switch {
	case t == nil || t.job.book == nil:
		q.answer <- &Stretch{}
	case !t.job.changing.TryLock():
		e.unanswered = append(e.unanswered, q)
	default:
		q.answer <- t.stretch(q.from, q.to)
		t.job.changing.Unlock()
	}
}

// replyAll tries again what was not answered.
func (e *Evaluator) replyAll() {
	all := e.unanswered
	e.unanswered = nil
	for _, q := range all {
		e.reply(q)
	}
}

// stretch is what happened in (from, to]. What is folded is taken in whole quarters
// of an hour. Its view is its own: that of the track tells what its judge saw.
func (t *track) stretch(from, to Minute) *Stretch {
	k := t.job.book
	var own view
	v, _ := own.of(k.timeline, t.job.cuts, k.settled, t.slo)
	out := &Stretch{HeldFrom: v.Start().Time(), HeldTo: v.End().Time()}
	if to < v.fineFrom && to%quarter != 0 {
		to += quarter - to%quarter
	}
	from, to = max(from, v.Start()), min(to, v.End())
	if from >= to {
		return out
	}
	out.Sum = v.Sum(from, to)
	length := to - out.Sum.Start
	each := (length + buckets - 1) / buckets
	if from < v.fineFrom {
		each = (each + quarter - 1) / quarter * quarter
	}
	n := max((length+each-1)/each, 2) // of a single one a picture can't tell the length
	out.Parts = parts(v, to, n*each, n)
	for _, x := range own.spans {
		if MinuteOf(x.To) > to-n*each && MinuteOf(x.From) < to {
			out.Excluded = append(out.Excluded, x)
		}
	}
	return out
}
