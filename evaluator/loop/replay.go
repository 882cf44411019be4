package loop

import (
	"context"
	"fmt"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Past is the history of one SLO, slot by slot.
type Past struct {
	SLO      *slo.SLO
	Timeline *timeline.Timeline // single slots, to read only; what is excluded did not happen in it
	LeftOut  int                // groups that are more than the limit
	Err      error              // why it can't be read; there is no timeline then
}

// Settled returns the end of the newest slot that should be final in all backends.
func (l *Loop) Settled() timeline.Minute { return l.newestEnd() - l.settle() }

// settle returns the longest time for which slots of a backend are read again.
func (l *Loop) settle() timeline.Minute {
	out := timeline.Minute(0)
	for _, b := range l.readers {
		out = max(out, timeline.Minutes(b.Settle))
	}
	return out
}

// Replay reads the history of SLOs until the end of a settled slot, as far back as
// Options.Lookback and their windows need. It calls take for one SLO at a time, and
// keeps nothing afterwards. The groups that exist at the end come after all SLOs. The
// error is the end of ctx.
func (l *Loop) Replay(ctx context.Context, slos []*slo.SLO, last timeline.Minute, take func(Past)) error {
	st := newState(l)
	st.end = last + st.settle() // so that the last is final
	var groups []*slo.SLO
	read := func(j *job) {
		for _, t := range st.byJob[j] {
			past := Past{SLO: t.slo, Err: j.err}
			if j.err == nil {
				j.record.Timeline.Truncate(last)
				past.Timeline = t.timeline()
				var of []*slo.SLO
				of, past.LeftOut = groupsOf(t.slo, j)
				groups = append(groups, of...)
			}
			take(past)
		}
		j.record = &history.Record{Plan: j.Plan, Timeline: timeline.NewTimeline(st.end), Inputs: history.Chosen(j.record.Choices()), Groups: j.record.Groups}
	}
	st.readOnce(ctx, slos, read)
	st.readOnce(ctx, groups, read)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reading history: %w", err)
	}
	return nil
}
