package evaluator

import (
	"math"

	"github.com/slowburn-slo/slowburn/slo"
)

// period is a calendar period (start, end] on the grid.
type period struct{ start, end Minute }

// periodAt is the period that holds an instant. Its edges are whole quarters of
// an hour, so that the grid has them for ever; in all zones of today they are.
func periodAt(p slo.Period, at Minute) period {
	start, end := p.At(at.Time())
	from, to := MinuteOf(start), MinuteOf(end)
	return period{from - from%quarter, to - to%quarter}
}

// ownStart is where an SLO's own window begins that ends with an instant.
func ownStart(p slo.Period, end Minute) Minute {
	if p.IsRolling() {
		return windowStart(p.Length.Duration(), end)
	}
	return periodAt(p, end).start
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
func calendarBudget(t *Timeline, sum Sum, p period, s *slo.SLO) Budget {
	start, end := p.start.Time(), p.end.Time()
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
func project(t *Timeline, sum Sum, p period, s *slo.SLO) (events float64, basis string) {
	coming := notExcluded(s, sum.End, p.end)
	w := newWeeks(t, sum.End, s.Window)
	all := w.rate(0, week)
	if !w.known() || math.IsNaN(all) {
		counted := float64(sum.Known)
		for _, c := range coming {
			if counted > 0 {
				events += sum.Total / counted * float64(c.end-c.start)
			}
		}
		return events, basisLinear
	}
	for _, c := range coming {
		for from := c.start; from < c.end; {
			to := w.steady(from, c.end)
			events += w.expect(w.wall(from), to-from)
			from = to
		}
	}
	return events, basisWeeks
}

// notExcluded are the times of (from, to] that no exclusion excludes.
func notExcluded(s *slo.SLO, from, to Minute) []period {
	var out []period
	for _, x := range slo.Excluded(s.Exclusions, from.Time(), max(from, to).Time()) {
		if start := MinuteOf(x.From); start > from {
			out = append(out, period{from, start})
		}
		from = MinuteOf(x.To)
	}
	if from < to {
		out = append(out, period{from, to})
	}
	return out
}

// weeks are the four weeks before an instant, by the wall clock of a zone: what
// happened at the same time of the day counts as the same hour, whatever clocks
// were changed. Minutes of the wall clock are written as if it were UTC.
type weeks struct {
	timeline *Timeline
	now      Minute
	window   slo.Period
}

const week = Minute(7 * 24 * 60)

func newWeeks(t *Timeline, now Minute, window slo.Period) weeks { return weeks{t, now, window} }

// wellKnown is the share of the slots of a week that must be known to project by
// it.
const wellKnown = 0.9

// mostlyKnown reports whether enough of the slots that count is known.
func (s Sum) mostlyKnown() bool { return float64(s.Known) >= wellKnown*float64(s.slots()) }

func (w weeks) known() bool {
	now := w.wall(w.now)
	for n := Minute(1); n <= 4; n++ {
		sum := w.timeline.Sum(w.instant(now-n*week), w.instant(now-(n-1)*week))
		if sum.Start < w.timeline.Start() || !sum.mostlyKnown() {
			return false
		}
	}
	return true
}

// wall is what the clock on the wall shows at an instant.
func (w weeks) wall(at Minute) Minute { return at.Add(w.window.Offset(at.Time())) }

// instant is when the clock on the wall showed a time, on the grid of old slots.
// Where clocks skip it or show it twice it is one of those beside.
func (w weeks) instant(wall Minute) Minute {
	if wall == w.wall(w.now) {
		return w.now
	}
	at := wall.Add(-w.window.Offset(wall.Add(-w.window.Offset(wall.Time())).Time()))
	at -= at % quarter
	return min(at, w.now)
}

// steady is the end of the stretch of (from, to] in which no clock is changed.
func (w weeks) steady(from, to Minute) Minute {
	offset := w.window.Offset(from.Time())
	same := func(at Minute) bool { return w.window.Offset(at.Time()) == offset }
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
func (w weeks) expect(from, length Minute) float64 {
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
func (w weeks) rate(from, to Minute) float64 {
	total, known := 0.0, 0
	now := w.wall(w.now)
	for n := Minute(4); n >= 1; n-- {
		sum := w.timeline.Sum(w.instant(now-n*week+from), w.instant(now-n*week+to))
		total += sum.Total
		known += sum.Known
	}
	return total / float64(known)
}

// calendarExhaustion is the time until the budget of the projected whole period is
// spent when coming slots are as those since basis; nil when that is not before
// the period's end, where the budget starts anew.
func calendarExhaustion(t *Timeline, sum Sum, b *Budget, o slo.Objective, basis Minute) *float64 {
	projected, recent := *b.ProjectedTotal, t.Sum(basis, sum.End)
	if recent.Known == 0 || projected <= 0 {
		return nil
	}
	rate := max(recent.Bad, 0) / float64(recent.Known)
	spent := func(ahead Minute) bool {
		return o.BurnRate(max(sum.Bad, 0)+rate*float64(t.open(sum.End, sum.End+ahead)), projected) >= 1
	}
	left := MinuteOf(*b.PeriodEnd) - sum.End
	if !spent(max(left-1, 0)) {
		return nil
	}
	first, last := Minute(-1), max(left-1, 0) // not spent, spent
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

// ended is a period that ended, and what happened in it.
type ended struct {
	period
	sum Sum
}

// endedPeriods are periods that ended, one after the other, the newest first. Of
// those between others nothing may be known; the oldest is one of which something
// is, as soon as all are there.
type endedPeriods struct {
	spec *slo.SLO // one of those that have them
	list []ended
	done bool    // of those before nothing is known, or they are left out
	more bool    // they are left out
	was  []ended // as they were before all was read again
}

// again has all of them read again.
func (p *endedPeriods) again() {
	if len(p.list) >= len(p.was) {
		p.was = p.list
	}
	p.list, p.done, p.more = nil, false, false
}

// known is a period that was read, as it was before when more was known of it then.
// before reports whether something was known of the time before it.
func (p *endedPeriods) known(e ended) (known ended, before bool) {
	for _, w := range p.was {
		if w.period == e.period && w.sum.Known > e.sum.Known {
			e.sum = w.sum
		}
		before = before || w.end <= e.start && w.sum.Known > 0
	}
	return e, before
}

// maxPeriods is how many periods that ended are shown: ten years of months, which
// is more than anybody looks at and little enough to send with each answer.
const maxPeriods = 120

// next is the period to look at before those there are, at an instant.
func (p *endedPeriods) next(window slo.Period, at Minute) period {
	if n := len(p.list); n > 0 {
		return periodAt(window, p.list[n-1].start)
	}
	return periodAt(window, periodAt(window, at).start)
}

// before adds the period before those there are. older tells whether the backend
// has data from before it; of one that is known it is needed for the last only.
func (p *endedPeriods) before(e ended, older bool) {
	e, was := p.known(e)
	older = older || was
	p.list = append(p.list, e)
	full := len(p.list) >= maxPeriods
	p.done, p.more = full || e.sum.Known == 0 && !older, full && older
	p.trim()
}

// trim drops the oldest of which nothing is known, when all are there.
func (p *endedPeriods) trim() {
	for n := len(p.list); p.done && n > 0 && p.list[n-1].sum.Known == 0; n = len(p.list) {
		p.list = p.list[:n-1]
	}
}

// renew takes over the newest period that ended from a timeline that holds it.
func (p *endedPeriods) renew(window slo.Period, t *Timeline, at Minute) {
	last := periodAt(window, periodAt(window, at).start)
	if last.start < t.Start() {
		return
	}
	e := ended{last, t.Sum(last.start, last.end)}
	switch {
	case len(p.list) > 0 && p.list[0].end == last.end:
		p.list[0] = e
	case len(p.list) > 0 && p.list[0].end == last.start || p.done && len(p.list) == 0:
		p.list = append([]ended{e}, p.list...)
		if len(p.list) > maxPeriods {
			p.list, p.more = p.list[:maxPeriods], true
		}
	default:
		p.list, p.done = []ended{e}, false
	}
	p.trim()
}

// statuses are the periods as people see them, each by the objective of its end.
func (p *endedPeriods) statuses(s *slo.SLO) []PeriodStatus {
	out := make([]PeriodStatus, len(p.list))
	for i, e := range p.list {
		o := s.ObjectiveAt(e.end.Time())
		out[i] = PeriodStatus{
			Name: s.Window.Name(e.end.Time()), Start: e.start.Time(), End: e.end.Time(),
			Total: e.sum.Total, Bad: max(e.sum.Bad, 0), Coverage: e.sum.Coverage(), Complete: e.sum.Known > 0 && e.sum.Complete(),
			Objective: o.Ratio(),
		}
		if e.sum.Known > 0 {
			share := budgetOf(e.sum.Total, e.sum.Bad, o)
			out[i].Allowed, out[i].Consumed, out[i].Remaining = &share.Allowed, &share.Consumed, &share.Remaining
		}
		out[i].SLI = sliOf(e.sum)
	}
	return out
}
