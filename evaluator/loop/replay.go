package loop

import (
	"context"
	"fmt"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Past is what happened of an SLO, slot by slot.
type Past struct {
	SLO      *slo.SLO
	Timeline *timeline.Timeline // single slots, to read only; what is excluded did not happen in it
	LeftOut  int                // groups that are more than the limit
	Err      error              // why it can't be read; there is no timeline then
}

// Settled is the end of the newest slot that should be final in all backends.
func (e *Loop) Settled() timeline.Minute { return e.behindNow() - e.settle() }

// settle is the longest time for which slots of a backend are read again.
func (e *Loop) settle() timeline.Minute {
	out := timeline.Minute(0)
	for _, b := range e.backends {
		out = max(out, timeline.Minutes(b.Settle))
	}
	return out
}

// Replay reads what happened of SLOs until the end of a settled slot. Of each it
// reads as much as Options.Lookback and its window ask for, and then calls take, for
// one SLO at a time; nothing that was read is kept behind that. Groups, those that
// there are at the end, come after all the SLOs that are split. The error is the end
// of ctx.
func (e *Loop) Replay(ctx context.Context, slos []*slo.SLO, last timeline.Minute, take func(Past)) error {
	e.end = last + e.settle() // so that the last is final
	var groups []*slo.SLO
	read := func(l *job) {
		for _, t := range e.byJob[l] {
			past := Past{SLO: t.slo, Err: l.err}
			if l.err == nil {
				l.book.Timeline.Truncate(last)
				past.Timeline = t.timeline()
				var of []*slo.SLO
				of, past.LeftOut = groupsOf(t.slo, l)
				groups = append(groups, of...)
			}
			take(past)
		}
		l.book = &history.Record{Plan: l.Plan, Timeline: timeline.NewTimeline(e.end), Inputs: history.Chosen(l.book.Choices()), Groups: l.book.Groups}
	}
	e.readOnce(ctx, slos, read)
	e.readOnce(ctx, groups, read)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reading history: %w", err)
	}
	return nil
}
