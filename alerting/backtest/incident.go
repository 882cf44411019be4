package backtest

import (
	"time"

	"github.com/slowburn-slo/slowburn/alerting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Limits of incidents.
const (
	// incidentQuiet is how long an incident may go on without getting worse.
	incidentQuiet = 6 * time.Hour
	// incidentOpen is the longest time since an incident got worse for it to be open.
	incidentOpen = 15 * time.Minute
	// incidentShare is the least share of the budget that an incident takes.
	incidentShare = 0.01
	// incidentSignificance is how rarely chance gives as many bad events.
	incidentSignificance = 1e-5
)

// incidents returns the incidents of an SLO from as long before from as a process looks
// back, up to an instant. They follow from the counts alone, for any policy. The excess of
// a stretch of time is
//
//	bad - (1-o) * total
//
// An incident begins with a slot that has any. It lasts while the excess since then is
// above 0 and reaches a new peak within six hours of the last one. It ends with the slot of
// its highest peak. (This is a CUSUM chart, whose allowance is the rate of the objective.)
// Stretches count that took 1 % of the budget, with more bad events than chance explains.
// For runs of jobs each bad one counts.
func incidents(s *slo.SLO, t *timeline.Timeline, from, to timeline.Minute) []Incident {
	out := []Incident{}
	begin := max(t.Start(), from.Add(-alerting.Lookback))
	for begin < to {
		start, end, repaid := worsening(s.Objective, t, begin, to)
		if start == end {
			break
		}
		begin = end
		sum := t.Sum(start, end)
		if sum.Bad -= repaid; sum.Bad > 0 {
			sum.Bad -= goodLater(sum.Bad, t, end.Add(incidentQuiet), to)
		}
		if sum.Bad <= 0 {
			continue
		}
		consumed := shareSpent(sum.Bad, s, t, end)
		notable := s.Unit() == slo.UnitRuns // each that is missed matters
		if consumed != nil && !notable {
			notable = *consumed >= incidentShare && alerting.BeyondChance(sum.Bad, sum.Total, s.Objective, incidentSignificance)
		}
		if consumed == nil || !notable {
			continue
		}
		out = append(out, Incident{
			Start: start.Time(), End: end.Time(), Total: sum.Total, Bad: sum.Bad, Consumed: consumed, start: start, end: end,
			Open: end.Add(incidentOpen) >= to,
		})
	}
	return out
}

// worsening returns the first stretch of (from, to] in which the excess grows to a peak, or
// an empty one. repaid are the events that were bad in it and counted as good after it, as
// where good events come later than all.
func worsening(o slo.Objective, t *timeline.Timeline, from, to timeline.Minute) (start, end timeline.Minute, repaid float64) {
	allowed, excess, peak := o.Budget(), 0.0, 0.0
	open := false
	for at := from + 1; at <= to; at++ {
		slot := t.Sum(at-1, at)
		excess += slot.Bad - allowed*max(slot.Total, slot.Bad)
		switch {
		case !open && excess > 0:
			open, start = true, at-1
		case !open:
			excess = 0
		case excess <= 0 || at >= end.Add(incidentQuiet):
			return start, end, repaid - min(slot.Bad, 0)
		}
		if repaid -= min(slot.Bad, 0); open && excess > peak {
			peak, end, repaid = excess, at, 0
		}
	}
	return start, end, repaid
}

// goodLater returns how many events that were bad up to an instant are counted as good
// after it, as where good events come later than all. It looks until others are bad, and
// for at least six hours.
func goodLater(bad float64, t *timeline.Timeline, after, to timeline.Minute) float64 {
	sum, least := 0.0, 0.0
	for at := after + 1; at <= to && bad+least > 0; at++ {
		slot := t.Sum(at-1, at)
		if slot.Bad > 0 && at > after.Add(incidentQuiet) {
			break
		}
		sum += slot.Bad
		least = min(least, sum)
	}
	return min(0-least, bad)
}
