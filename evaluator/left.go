package evaluator

import (
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// BudgetLeft is the rest of an SLO's budget at an instant.
type BudgetLeft struct {
	Remaining float64         // same as in Budget
	Read      bool            // the SLO's own window was read
	Coverage  float64         // of the SLO's own window so far
	PeriodEnd timeline.Minute // when a new budget starts; 0 for a rolling window
}

// LeftAt returns the rest of the budget of an SLO at an instant of its timeline. ok is
// false if a part of the SLO's own window is not read, or no slot of it is known.
func LeftAt(t *timeline.Timeline, s *slo.SLO, end timeline.Minute) (left BudgetLeft, ok bool) {
	whole := t.Sum(OwnStart(s.Window, end), end)
	left.Read = whole.Start >= t.Start()
	if !left.Read || whole.Known == 0 {
		return left, false
	}
	left.Coverage = whole.Coverage()
	if s.Window.IsRolling() {
		left.Remaining = 1 - consumedShare(whole, s.Objective)
		return left, true
	}
	p := PeriodAt(s.Window, end)
	b := calendarBudget(t, whole, p, s)
	left.Remaining, left.PeriodEnd = *b.Remaining, p.End
	return left, true
}

// HistoryLength returns how much of the past an SLO's own window needs.
func HistoryLength(p slo.Period) time.Duration {
	if p.IsRolling() {
		return p.Length.Duration()
	}
	return p.Longest()
}
