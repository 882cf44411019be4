package loop

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

const (
	// askAgain is how long it is not asked again what became of targets, in minutes.
	askAgain = 5
	// maxAsked bounds for how many selectors that is asked at once: when all of a
	// backend is silent, the first tell enough.
	maxAsked = 20
)

// absence is why a part of a ledger has no data, as far as its targets tell.
type absence struct {
	cause string
	asked timeline.Minute
}

// findAbsences asks what became of the targets of those jobs that are silent.
func findAbsences(ctx context.Context, b *history.Reader, jobs []*job, end timeline.Minute) {
	found := map[string]string{}
	for _, l := range jobs {
		if l.err != nil {
			continue
		}
		i := slices.IndexFunc(l.book.Inputs, func(p history.InputState) bool { return p.Silent(end) })
		if i < 0 || l.book.Inputs[i].Newest == 0 {
			l.absence = absence{}
			continue
		}
		clock := l.Inputs[i].ClockQuery()
		if clock == nil || clock.Selector.IsZero() || l.absence.asked != 0 && end-l.absence.asked < askAgain {
			continue
		}
		cause, known := found[clock.Text()]
		if !known {
			if len(found) == maxAsked {
				continue
			}
			cause = b.Cause(ctx, clock.Selector, *l.book.Inputs[i].NewestTime(), end)
			found[clock.Text()] = cause
		}
		l.absence = absence{cause, end}
	}
}
