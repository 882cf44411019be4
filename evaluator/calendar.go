package evaluator

import (
	"maps"
	"sort"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// PeriodAt returns the calendar period that contains an instant. Its edges are rounded
// down to quarters of an hour, so that folded slots have them. In all present time zones
// they are exact.
func PeriodAt(p slo.Period, at timeline.Minute) timeline.Period {
	start, end := p.At(at.Time())
	from, to := timeline.MinuteOf(start), timeline.MinuteOf(end)
	return timeline.Period{Start: from - from%timeline.Quarter, End: to - to%timeline.Quarter}
}

// OwnStart returns the start of the SLO's own window that ends at an instant.
func OwnStart(p slo.Period, end timeline.Minute) timeline.Minute {
	if p.IsRolling() {
		return timeline.WindowStart(p.Length.Duration(), end)
	}
	return PeriodAt(p, end).Start
}

// calendarBudget returns the budget of the period p, given the sum of the period so far:
//
//	projected_total   N + the expected events until the end of the period: as many a minute as in the
//	                  known slots of the trailing window of nominal length, or of the period so far if
//	                  that is longer, except in times that will be excluded
//	allowed           (1-o) * projected_total
//	consumed          B / allowed
//	remaining         1 - consumed
//	so_far.allowed    (1-o) * N, and so on
//
// with N all events so far and B the bad ones.
func calendarBudget(t *timeline.Timeline, sum timeline.Sum, p timeline.Period, s *slo.SLO) Budget {
	out := Budget{PeriodStart: new(p.Start.Time()), PeriodEnd: new(p.End.Time())}
	if sum.Known == 0 || sum.Start < t.Start() {
		return out
	}
	recent := t.Sum(min(timeline.WindowStart(s.Window.Length.Duration(), sum.End), sum.Start), sum.End)
	projected := sum.Events() + recent.Total/float64(recent.Known)*float64(t.Open(sum.End, p.End))
	out.set(budgetOf(projected, sum.Bad, s.Objective))
	out.SoFar = new(budgetOf(sum.Total, sum.Bad, s.Objective))
	out.ProjectedTotal = &projected
	out.ProjectionBasis = new("traffic of the last " + s.Window.Length.String())
	return out
}

// set fills in the budget and its use.
func (b *Budget) set(share BudgetShare) {
	b.Allowed, b.Consumed, b.Remaining = &share.Allowed, &share.Consumed, &share.Remaining
}

func budgetOf(total, bad float64, o slo.Objective) BudgetShare {
	consumed := o.BurnRate(max(bad, 0), total)
	return BudgetShare{Allowed: o.Allowed(max(total, bad)), Consumed: consumed, Remaining: 1 - consumed}
}

// calendarExhaustion returns the time in seconds until the budget of the projected whole
// period is spent, if coming slots are like those since basis. It returns nil if that is
// not before the end of the period, where a new budget starts.
func calendarExhaustion(t *timeline.Timeline, sum timeline.Sum, b *Budget, o slo.Objective, basis timeline.Minute) *float64 {
	projected, recent := *b.ProjectedTotal, t.Sum(basis, sum.End)
	if recent.Known == 0 || projected <= 0 {
		return nil
	}
	rate := max(recent.Bad, 0) / float64(recent.Known)
	spent := func(ahead timeline.Minute) bool {
		return o.BurnRate(max(sum.Bad, 0)+rate*float64(t.Open(sum.End, sum.End+ahead)), projected) >= 1
	}
	left := int(max(timeline.MinuteOf(*b.PeriodEnd)-sum.End, 1))
	first := sort.Search(left, func(ahead int) bool { return spent(timeline.Minute(ahead)) })
	if first == left {
		return nil
	}
	return new(float64(first) * 60)
}

// EndedPeriods contains the events of calendar periods that ended.
type EndedPeriods struct {
	Spec      *slo.SLO                         // one of the SLOs that share the periods
	sums, old map[timeline.Period]timeline.Sum // old are those before they were reset
}

// Reset removes the periods, so that all are read again. What was known of one stays if
// less is known then.
func (p *EndedPeriods) Reset() {
	if p.old == nil {
		p.old = map[timeline.Period]timeline.Sum{}
	}
	maps.Copy(p.old, p.sums)
	p.sums = nil
}

// MaxPeriods is the largest number of ended periods: ten years of months. That is enough
// for readers, and small enough for each answer.
const MaxPeriods = 120

// Add stores the events of a period that was read.
func (p *EndedPeriods) Add(at timeline.Period, sum timeline.Sum) {
	if was := p.old[at]; was.Known > sum.Known {
		sum = was
	}
	if p.sums == nil {
		p.sums = map[timeline.Period]timeline.Sum{}
	}
	p.sums[at] = sum
}

// Renew takes the newest ended period from a timeline that contains it.
func (p *EndedPeriods) Renew(t *timeline.Timeline, at timeline.Minute) {
	last := p.before(PeriodAt(p.Spec.Window, at))
	if last.Start >= t.Start() {
		delete(p.old, last)
		p.Add(last, t.Sum(last.Start, last.End))
	}
}

func (p *EndedPeriods) before(next timeline.Period) timeline.Period {
	return PeriodAt(p.Spec.Window, next.Start)
}

// list returns the consecutive periods that ended before an instant, the newest first,
// back to the first one of which nothing is known, and at most MaxPeriods. It also returns
// the period before these, and whether that was read.
func (p *EndedPeriods) list(at timeline.Minute) (all []timeline.Period, next timeline.Period, read bool) {
	next = p.before(PeriodAt(p.Spec.Window, at))
	for p.sums[next].Known > 0 && len(all) < MaxPeriods {
		all = append(all, next)
		next = p.before(next)
	}
	_, read = p.sums[next]
	return all, next, read
}

// Next returns the period to read next, or false if all are read.
func (p *EndedPeriods) Next(at timeline.Minute) (next timeline.Period, ok bool) {
	_, next, read := p.list(at)
	return next, !read
}

// Statuses returns the periods for readers, each with the objective of its end, and
// whether there are more than MaxPeriods. It returns nil until all are read.
func (p *EndedPeriods) Statuses(s *slo.SLO, at timeline.Minute) (out []PeriodStatus, more bool) {
	all, next, read := p.list(at)
	if !read {
		return nil, false
	}
	out = make([]PeriodStatus, len(all))
	for i, e := range all {
		o, sum := s.ObjectiveAt(e.End.Time()), p.sums[e]
		share := budgetOf(sum.Total, sum.Bad, o)
		out[i] = PeriodStatus{
			Name: s.Window.Name(e.End.Time()), Start: e.Start.Time(), End: e.End.Time(),
			Total: sum.Total, Bad: max(sum.Bad, 0), Coverage: sum.Coverage(), Complete: sum.Complete(),
			SLI: sliOf(sum), Objective: o.Ratio(),
			Allowed: &share.Allowed, Consumed: &share.Consumed, Remaining: &share.Remaining,
		}
	}
	return out, p.sums[next].Known > 0
}
