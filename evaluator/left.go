package evaluator

import (
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// BudgetLeft is what is left of an SLO's budget at an instant.
type BudgetLeft struct {
	Remaining float64         // as Budget has it
	Read      bool            // the SLO's own window lies in what was read
	Coverage  float64         // of the SLO's own window so far
	PeriodEnd timeline.Minute // when the budget starts anew; 0 for a rolling window
}

// LeftAt is what is left of the budget of an SLO at an instant of its timeline. ok is
// false where a part of the SLO's own window is not read, or nothing of it is known.
func LeftAt(t *timeline.Timeline, s *slo.SLO, end timeline.Minute) (left BudgetLeft, ok bool) {
	whole := t.Sum(OwnStart(s.Window, end), end)
	if left.Read = whole.Start >= t.Start(); !left.Read || whole.Known == 0 {
		return left, false
	}
	left.Coverage = whole.Coverage()
	if s.Window.IsRolling() {
		left.Remaining = 1 - consumed(whole, s.Objective)
		return left, true
	}
	p := PeriodAt(s.Window, end)
	b := calendarBudget(t, whole, p, s)
	left.Remaining, left.PeriodEnd = *b.Remaining, p.End
	return left, true
}

// HistoryOf is how much of the past an SLO's own window asks for.
func HistoryOf(p slo.Period) time.Duration {
	if p.IsRolling() {
		return p.Length.Duration()
	}
	return max(p.Longest(), 29*24*time.Hour) // the last four weeks, and changes of the clock
}
