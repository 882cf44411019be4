package alerting

import (
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

const (
	// KnownEnough is the share of the SLO's own window that must be known for
	// alerts about its budget: what is new has no budget yet that could be spent.
	KnownEnough = 0.5
	// Recovered is by how much more must remain of a budget for it to be no longer
	// spent, or no longer less than was agreed on.
	Recovered = 0.01
	// relaxed is the share of the threshold that begins a forecast, below which it ends.
	relaxed = 0.8
	// unknownFor is after how many unknown slots no alert about the budget begins or ends.
	unknownFor = 120
	// periodGrid is how often a calendar budget is judged, in slots. Its projection takes
	// much longer to compute than the sum of a rolling window.
	periodGrid = 15
)

// spell is a time in which an alert about the budget fires.
type spell struct {
	since timeline.Minute // the end of the slot in which it began; 0 while it does not fire
	older bool            // it began at since or before: more could not be read
}

// spending holds the firing alerts about the budget of an SLO.
type spending struct {
	exhausted, forecast, agreed spell
	step                        int // of the budget policy, which agreed belongs to
}

// allFiring returns the state in which every alert fires that can.
func (j judge) allFiring(since timeline.Minute) spending {
	s := spell{since: since}
	out := spending{exhausted: s, forecast: s}
	if n := len(j.slo.BudgetPolicy); n > 0 {
		out.agreed, out.step = s, n-1
	}
	return out
}

// judgesBudgetAt reports whether the budget is judged at an instant.
func (j judge) judgesBudgetAt(end timeline.Minute) bool {
	return j.slo.Window.IsRolling() || end%periodGrid == 0
}

// stepBudget returns the alerts about the budget one slot later. burns reports whether a
// burn alert fires. While nothing is known they stay as they are.
func (j judge) stepBudget(st spending, burns bool, t *timeline.Timeline, end timeline.Minute) spending {
	if j.quiet {
		return spending{}
	}
	if !j.judgesBudgetAt(end) || t.Sum(end-unknownFor, end).Known == 0 {
		return st
	}
	left, ok := evaluator.LeftAt(t, j.slo, end)
	if !ok {
		return st
	}
	if left.Coverage < KnownEnough {
		return spending{}
	}
	since := func(was spell) spell {
		if was.since != 0 {
			return was
		}
		before := end - 1
		if !j.judgesBudgetAt(before) {
			before = end - periodGrid
		}
		then, _ := evaluator.LeftAt(t, j.slo, before)
		return spell{end, !then.Read}
	}
	out := spending{}
	if left.Remaining <= 0 || st.exhausted.since != 0 && left.Remaining <= Recovered {
		out.exhausted = since(st.exhausted)
	} else if fires := st.forecast.since != 0; (fires || !burns) && j.spentSoon(left, fires, t, end) {
		out.forecast = since(st.forecast)
	}
	for i, step := range slices.Backward(j.slo.BudgetPolicy) { // the strictest that applies
		was := st.agreed.since != 0 && st.step == i
		if left.Remaining < step.Below || was && left.Remaining <= step.Below+Recovered {
			if !was {
				st.agreed = spell{}
			}
			out.agreed, out.step = since(st.agreed), i
			break
		}
	}
	return out
}

// lookahead returns how far the forecast looks ahead: as far as the longest window of the
// policy is long, or until a calendar budget resets.
func lookahead(long time.Duration, periodEnd, now timeline.Minute) time.Duration {
	if rest := time.Duration(periodEnd-now) * time.Minute; periodEnd != 0 && rest < long {
		return rest
	}
	return long
}

// spentSoon reports whether the remaining budget is spent if the next time is like the
// last, as long as the longest window of the policy. A rate of a few hours would spend it
// each night for a service that fails a little in its quiet hours. A burn alert contains
// the forecast, so none begins beside it. One that fires already goes on, because each
// page would end it and make another ticket of it.
func (j judge) spentSoon(left evaluator.BudgetLeft, fires bool, t *timeline.Timeline, end timeline.Minute) bool {
	if j.long == 0 {
		return false
	}
	sum := t.Window(j.long, end)
	rate := evaluator.BurnRate(sum, j.objective)
	if rate == nil || sum.Start < t.Start() || sum.Coverage() < KnownEnough {
		return false
	}
	enough := left.Remaining
	if fires {
		enough *= relaxed
	}
	return *rate*float64(lookahead(j.long, left.PeriodEnd, end))/float64(j.slo.Window.Length) >= enough
}

// calm reports whether no alert about the budget can fire at an instant, whatever came
// before. Nearly all SLOs are calm and need no replay.
func (j judge) calm(t *timeline.Timeline, at timeline.Minute) bool {
	for first := at.Add(-Lookback); t.Sum(at-unknownFor, at).Known == 0; at -= unknownFor {
		if at < first {
			return true
		}
	}
	if !j.slo.Window.IsRolling() {
		at -= at % periodGrid
	}
	left, ok := evaluator.LeftAt(t, j.slo, at)
	if !ok {
		return !left.Read // what fired before the window goes on where it is read
	}
	if left.Coverage < KnownEnough {
		return true
	}
	highest := 0.0
	for _, step := range j.slo.BudgetPolicy {
		highest = max(highest, step.Below)
	}
	return left.Remaining > highest+Recovered && !j.spentSoon(left, true, t, at)
}

// budgetAlerts returns the alerts about the budget that fire. The newest slot can begin
// one, but only settled slots end it.
func (j judge) budgetAlerts(final, newest spending) []evaluator.FiringAlert {
	var out []evaluator.FiringAlert
	add := func(name string, final, newest spell) *evaluator.FiringAlert {
		s := final
		if s.since == 0 {
			s = newest
		}
		if s.since == 0 {
			return nil
		}
		out = append(out, evaluator.FiringAlert{
			Name: name, Severity: slo.Ticket, Since: s.since.Time(), Older: s.older, Windows: []string{},
		})
		return &out[len(out)-1]
	}
	add(slo.ExhaustedAlert, final.exhausted, newest.exhausted)
	if final.exhausted.since == 0 && newest.exhausted.since == 0 {
		add(slo.ForecastAlert, final.forecast, newest.forecast)
	}
	step := final.step
	if final.agreed.since == 0 || newest.agreed.since != 0 && newest.step > step {
		step = newest.step
		final.agreed = spell{}
	}
	if a := add(slo.PolicyAlert, final.agreed, newest.agreed); a != nil {
		a.RemainingBelow = j.slo.BudgetPolicy[step].Below
	}
	return out
}
