package evaluator

import (
	"math"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// PeriodAt is the period that holds an instant. Its edges are whole quarters of
// an hour, so that the grid has them for ever; in all zones of today they are.
func PeriodAt(p slo.Period, at timeline.Minute) timeline.Period {
	start, end := p.At(at.Time())
	from, to := timeline.MinuteOf(start), timeline.MinuteOf(end)
	return timeline.Period{Start: from - from%timeline.Quarter, End: to - to%timeline.Quarter}
}

// OwnStart is where an SLO's own window begins that ends with an instant.
func OwnStart(p slo.Period, end timeline.Minute) timeline.Minute {
	if p.IsRolling() {
		return timeline.WindowStart(p.Length.Duration(), end)
	}
	return PeriodAt(p, end).Start
}

// Bases of projections.
const (
	basisWeeks  = "same weekday hours of the last 4 weeks"
	basisLinear = "linear"
)

// calendarBudget is the budget of the period p, of which sum is what happened so
// far, at sum.End:
//
//	projected_total   N + what is expected until the end of the period
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
	out.SoFar, out.ProjectedTotal, out.ProjectionBasis = &soFar, &projected, &basis
	return out
}

func budgetOf(total, bad float64, o slo.Objective) BudgetShare {
	consumed := o.BurnRate(max(bad, 0), total)
	return BudgetShare{Allowed: o.Allowed(max(total, bad)), Consumed: consumed, Remaining: 1 - consumed}
}

// project tells how many events are expected in the rest of a period, and by
// what: those of the same hours of the week in the last four weeks, when each of
// these is known well enough, else as many a minute as in the period so far.
// Either way what is not known or was excluded is taken to be as the rest, and what
// will be excluded has none.
func project(t *timeline.Timeline, sum timeline.Sum, p timeline.Period, s *slo.SLO) (events float64, basis string) {
	coming := notExcluded(s, sum.End, p.End)
	w := newWeeks(t, sum.End, s.Window)
	all := w.rate(0, week)
	if !w.known() || math.IsNaN(all) {
		counted := float64(sum.Known)
		for _, c := range coming {
			if counted > 0 {
				events += sum.Total / counted * float64(c.End-c.Start)
			}
		}
		return events, basisLinear
	}
	for _, c := range coming {
		for from := c.Start; from < c.End; {
			to := w.steady(from, c.End)
			events += w.expect(w.wall(from), to-from)
			from = to
		}
	}
	return events, basisWeeks
}

// notExcluded are the times of (from, to] that no exclusion excludes.
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

// weeks are the four weeks before an instant, by the wall clock of a zone: what
// happened at the same time of the day counts as the same hour, whatever clocks
// were changed. Minutes of the wall clock are written as if it were UTC.
type weeks struct {
	timeline *timeline.Timeline
	now      timeline.Minute
	window   slo.Period
}

const week = timeline.Minute(7 * 24 * 60)

func newWeeks(t *timeline.Timeline, now timeline.Minute, window slo.Period) weeks {
	return weeks{t, now, window}
}

func (w weeks) known() bool {
	now := w.wall(w.now)
	for n := timeline.Minute(1); n <= 4; n++ {
		sum := w.timeline.Sum(w.instant(now-n*week), w.instant(now-(n-1)*week))
		if sum.Start < w.timeline.Start() || !sum.MostlyKnown() {
			return false
		}
	}
	return true
}

// wall is what the clock on the wall shows at an instant.
func (w weeks) wall(at timeline.Minute) timeline.Minute { return at.Add(w.window.Offset(at.Time())) }

// instant is when the clock on the wall showed a time, on the grid of old slots.
// Where clocks skip it or show it twice it is one of those beside.
func (w weeks) instant(wall timeline.Minute) timeline.Minute {
	if wall == w.wall(w.now) {
		return w.now
	}
	at := wall.Add(-w.window.Offset(wall.Add(-w.window.Offset(wall.Time())).Time()))
	at -= at % timeline.Quarter
	return min(at, w.now)
}

// steady is the end of the stretch of (from, to] in which no clock is changed.
func (w weeks) steady(from, to timeline.Minute) timeline.Minute {
	offset := w.window.Offset(from.Time())
	same := func(at timeline.Minute) bool { return w.window.Offset(at.Time()) == offset }
	for at := from; at < to; {
		next := min(at+week, to)
		if !same(next) {
			for next-at > 1 {
				if middle := at + (next-at)/2; same(middle) {
					at = middle
				} else {
					next = middle
				}
			}
			return next
		}
		at = next
	}
	return to
}

// expect is how many events to expect in a stretch of the wall clock.
func (w weeks) expect(from, length timeline.Minute) float64 {
	all := w.rate(0, week)
	events := all * float64(length/week*week)
	now := w.wall(w.now)
	for begin, rest := ((from-now)%week+week)%week, length%week; rest > 0; {
		n := min(rest, week-begin)
		rate := w.rate(begin, begin+n)
		if math.IsNaN(rate) { // of this hour nothing is known
			rate = all
		}
		events += rate * float64(n)
		begin, rest = 0, rest-n
	}
	return events
}

// rate is how many events a minute there were in a stretch of each of the four
// weeks, counted from their start; NaN when none of it counts.
func (w weeks) rate(from, to timeline.Minute) float64 {
	total, known := 0.0, 0
	now := w.wall(w.now)
	for n := timeline.Minute(4); n >= 1; n-- {
		sum := w.timeline.Sum(w.instant(now-n*week+from), w.instant(now-n*week+to))
		total += sum.Total
		known += sum.Known
	}
	return total / float64(known)
}

// calendarExhaustion is the time until the budget of the projected whole period is
// spent when coming slots are as those since basis; nil when that is not before
// the period's end, where the budget starts anew.
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

// Ended is a period that ended, and what happened in it.
type Ended struct {
	timeline.Period
	Sum timeline.Sum
}

// EndedPeriods are periods that ended, one after the other, the newest first. Of
// those between others nothing may be known; the oldest is one of which something
// is, as soon as all are there.
type EndedPeriods struct {
	Spec *slo.SLO // one of those that have them
	List []Ended
	Done bool    // of those before nothing is known, or they are left out
	More bool    // they are left out
	was  []Ended // as they were before all was read again
}

// Again has all of them read again.
func (p *EndedPeriods) Again() {
	if len(p.List) >= len(p.was) {
		p.was = p.List
	}
	p.List, p.Done, p.More = nil, false, false
}

// known is a period that was read, as it was before when more was known of it then.
// before reports whether something was known of the time before it.
func (p *EndedPeriods) known(e Ended) (known Ended, before bool) {
	for _, w := range p.was {
		if w.Period == e.Period && w.Sum.Known > e.Sum.Known {
			e.Sum = w.Sum
		}
		before = before || w.End <= e.Start && w.Sum.Known > 0
	}
	return e, before
}

// MaxPeriods is how many periods that ended are shown: ten years of months, which
// is more than anybody looks at and little enough to send with each answer.
const MaxPeriods = 120

// Next is the period to look at before those there are, at an instant.
func (p *EndedPeriods) Next(window slo.Period, at timeline.Minute) timeline.Period {
	if n := len(p.List); n > 0 {
		return PeriodAt(window, p.List[n-1].Start)
	}
	return PeriodAt(window, PeriodAt(window, at).Start)
}

// Before adds the period before those there are. older tells whether the backend
// has data from before it; of one that is known it is needed for the last only.
func (p *EndedPeriods) Before(e Ended, older bool) {
	e, was := p.known(e)
	older = older || was
	p.List = append(p.List, e)
	full := len(p.List) >= MaxPeriods
	p.Done, p.More = full || e.Sum.Known == 0 && !older, full && older
	p.trim()
}

// trim drops the oldest of which nothing is known, when all are there.
func (p *EndedPeriods) trim() {
	for n := len(p.List); p.Done && n > 0 && p.List[n-1].Sum.Known == 0; n = len(p.List) {
		p.List = p.List[:n-1]
	}
}

// Renew takes over the newest period that ended from a timeline that holds it.
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

// Statuses are the periods as people see them, each by the objective of its end.
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
