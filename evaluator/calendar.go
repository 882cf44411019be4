package evaluator

import (
	"slices"

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
//	projected_total   N + the expected events until the end of the period
//	allowed           (1-o) * projected_total
//	consumed          B / allowed
//	remaining         1 - consumed
//	so_far.allowed    (1-o) * N, and so on
//
// with N all events so far and B the bad ones.
func calendarBudget(t *timeline.Timeline, sum timeline.Sum, p timeline.Period, s *slo.SLO) Budget {
	start, end := p.Start.Time(), p.End.Time()
	out := Budget{PeriodStart: &start, PeriodEnd: &end}
	if sum.Known == 0 || sum.Start < t.Start() {
		return out
	}
	coming, basis := project(t, sum, p, s)
	projected := sum.Events() + coming
	share := budgetOf(projected, sum.Bad, s.Objective)
	out.Allowed, out.Consumed, out.Remaining = &share.Allowed, &share.Consumed, &share.Remaining
	soFar := budgetOf(sum.Total, sum.Bad, s.Objective)
	out.SoFar = &soFar
	out.ProjectedTotal = &projected
	out.ProjectionBasis = &basis
	return out
}

func budgetOf(total, bad float64, o slo.Objective) BudgetShare {
	consumed := o.BurnRate(max(bad, 0), total)
	return BudgetShare{Allowed: o.Allowed(max(total, bad)), Consumed: consumed, Remaining: 1 - consumed}
}

// project returns the number of events expected in the rest of a period: as many a minute
// as in the known slots of the trailing window of nominal length, or of the period so far
// if that is longer. Times that will be excluded have no events.
func project(t *timeline.Timeline, sum timeline.Sum, p timeline.Period, s *slo.SLO) (events float64, basis string) {
	trailing := timeline.WindowStart(s.Window.Length.Duration(), sum.End)
	recent := t.Sum(min(trailing, sum.Start), sum.End)
	for _, c := range notExcluded(s, sum.End, p.End) {
		events += recent.Total / float64(recent.Known) * float64(c.End-c.Start)
	}
	return events, "traffic of the last " + s.Window.Length.String()
}

// notExcluded returns the times of (from, to] that no exclusion excludes.
func notExcluded(s *slo.SLO, from, to timeline.Minute) []timeline.Period {
	var out []timeline.Period
	for _, x := range slo.Excluded(s.Exclusions, from.Time(), max(from, to).Time()) {
		if start := timeline.MinuteOf(x.From); start > from {
			out = append(out, timeline.Period{Start: from, End: start})
		}
		from = timeline.MinuteOf(x.To)
	}
	if from < to {
		out = append(out, timeline.Period{Start: from, End: to})
	}
	return out
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
	left := timeline.MinuteOf(*b.PeriodEnd) - sum.End
	if !spent(max(left-1, 0)) {
		return nil
	}
	first, last := timeline.Minute(-1), max(left-1, 0) // not spent, spent
	for last-first > 1 {
		if middle := first + (last-first)/2; spent(middle) {
			last = middle
		} else {
			first = middle
		}
	}
	seconds := float64(last) * 60
	return &seconds
}

// Ended is a period that ended, with its events.
type Ended struct {
	timeline.Period
	Sum timeline.Sum
}

// EndedPeriods contains consecutive periods that ended, the newest first, back to the
// first one of which nothing is known.
type EndedPeriods struct {
	Spec *slo.SLO // one of the SLOs that share the periods
	List []Ended
	Done bool    // all older periods are left out
	More bool    // something of them is known
	old  []Ended // the List before it was reset
}

// Reset removes the periods, so that all are read again.
func (p *EndedPeriods) Reset() {
	if len(p.List) >= len(p.old) {
		p.old = p.List
	}
	p.List = nil
	p.Done = false
	p.More = false
}

// known returns a period that was read, or its old numbers if more of it was known then.
func (p *EndedPeriods) known(e Ended) Ended {
	for _, w := range p.old {
		if w.Period == e.Period && w.Sum.Known > e.Sum.Known {
			e.Sum = w.Sum
		}
	}
	return e
}

// MaxPeriods is the largest number of ended periods: ten years of months. That is enough
// for readers, and small enough for each answer.
const MaxPeriods = 120

// Next returns the period to read next, older than the others, at an instant.
func (p *EndedPeriods) Next(window slo.Period, at timeline.Minute) timeline.Period {
	if n := len(p.List); n > 0 {
		return PeriodAt(window, p.List[n-1].Start)
	}
	return PeriodAt(window, PeriodAt(window, at).Start)
}

// AddOlder adds the period before the others. The first one of which nothing is known is
// the end, and so is one more than MaxPeriods: they are left out.
func (p *EndedPeriods) AddOlder(e Ended) {
	e = p.known(e)
	switch known := e.Sum.Known > 0; {
	case len(p.List) == MaxPeriods:
		p.Done = true
		p.More = known
	case !known:
		p.Done = true
	default:
		p.List = append(p.List, e)
	}
}

// trim leaves out the first unknown period and all before it.
func (p *EndedPeriods) trim() {
	if i := slices.IndexFunc(p.List, func(e Ended) bool { return e.Sum.Known == 0 }); i >= 0 {
		p.List = p.List[:i]
		p.Done = true
		p.More = false
	}
}

// Renew takes the newest ended period from a timeline that contains it.
func (p *EndedPeriods) Renew(window slo.Period, t *timeline.Timeline, at timeline.Minute) {
	last := PeriodAt(window, PeriodAt(window, at).Start)
	if last.Start < t.Start() {
		return
	}
	e := Ended{last, t.Sum(last.Start, last.End)}
	switch {
	case len(p.List) > 0 && p.List[0].End == last.End:
		p.List[0] = e
	case len(p.List) > 0 && p.List[0].End == last.Start || p.Done && len(p.List) == 0:
		p.List = append([]Ended{e}, p.List...)
		if len(p.List) > MaxPeriods {
			p.List, p.More = p.List[:MaxPeriods], true
		}
	default:
		p.List, p.Done = []Ended{e}, false
	}
	p.trim()
}

// Statuses returns the periods for readers, each with the objective of its end.
func (p *EndedPeriods) Statuses(s *slo.SLO) []PeriodStatus {
	out := make([]PeriodStatus, len(p.List))
	for i, e := range p.List {
		o := s.ObjectiveAt(e.End.Time())
		out[i] = PeriodStatus{
			Name: s.Window.Name(e.End.Time()), Start: e.Start.Time(), End: e.End.Time(),
			Total: e.Sum.Total, Bad: max(e.Sum.Bad, 0), Coverage: e.Sum.Coverage(), Complete: e.Sum.Known > 0 && e.Sum.Complete(),
			Objective: o.Ratio(),
		}
		if e.Sum.Known > 0 {
			share := budgetOf(e.Sum.Total, e.Sum.Bad, o)
			out[i].Allowed, out[i].Consumed, out[i].Remaining = &share.Allowed, &share.Consumed, &share.Remaining
		}
		out[i].SLI = sliOf(e.Sum)
	}
	return out
}
