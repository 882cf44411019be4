package evaluator

import (
	"slices"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Compute fills in the windows, the budget and the history at the instant end, from the
// timeline. The last of the windows is the SLO's own.
func (s *Status) Compute(t *timeline.Timeline, end timeline.Minute, windows []slo.Window) {
	o := s.Spec.Objective
	s.Windows = make([]WindowStatus, 0, len(windows))
	whole := t.Sum(OwnStart(s.Spec.Window, end), end)
	read := whole.Start >= t.Start()
	last := len(windows) - 1
	for _, w := range windows[:last] {
		sum := t.Window(w.Duration(), end)
		s.Windows = append(s.Windows, windowStatus(sum, w.String(), w.Duration(), o, sum.Start >= t.Start()))
	}
	length := windows[last].Duration()
	if !s.Spec.Window.IsRolling() {
		length = time.Duration(end-whole.Start) * time.Minute
	}
	s.Windows = append(s.Windows, windowStatus(whole, s.Spec.Window.String(), length, o, read))
	s.spend(t, whole, read)
}

// spend fills in the budget of the SLO's own window, and its history.
func (s *Status) spend(t *timeline.Timeline, whole timeline.Sum, read bool) {
	o, end := s.Spec.Objective, whole.End
	p := timeline.Period{Start: end.Add(-s.Spec.Window.Length.Duration()), End: end}
	s.Budget = Budget{}
	switch {
	case !s.Spec.Window.IsRolling():
		p = PeriodAt(s.Spec.Window, end)
		s.Budget = calendarBudget(t, whole, p, s.Spec)
	case read && whole.Known > 0:
		s.Budget.set(budgetOf(whole.Total, whole.Bad, o))
	}
	basis := 6 * time.Hour
	for _, a := range s.Alerts {
		if a.Severity == slo.Page && a.Burns() {
			basis = time.Hour
		}
	}
	s.Budget.Basis = slo.Window(basis).String()
	from := end.Add(-basis)
	switch {
	case !read || whole.Known == 0:
	case s.Spec.Window.IsRolling():
		s.Budget.ExhaustedInSeconds = exhaustion(t, end, s.Spec, max(from, whole.Start))
	default:
		s.Budget.ExhaustedInSeconds = calendarExhaustion(t, whole, &s.Budget, o, from)
	}
	s.History = history(t, end, p)
}

// windowStatus returns the status of a window. Its ratios are undefined while a part of
// it is not read yet.
func windowStatus(sum timeline.Sum, name string, length time.Duration, o slo.Objective, read bool) WindowStatus {
	out := WindowStatus{
		Name: name, Seconds: int64(length / time.Second),
		Start: sum.Start.Time(), End: sum.End.Time(),
		Total: sum.Total, Bad: max(sum.Bad, 0), Coverage: sum.Coverage(),
	}
	if read {
		out.SLI = sliOf(sum)
		out.BurnRate = BurnRate(sum, o)
	}
	return out
}

// sliOf returns the share of good events in a window, or nil without events.
func sliOf(sum timeline.Sum) *float64 {
	if sum.Events() <= 0 {
		return nil
	}
	return new(1 - slo.BadShare(sum.Bad, sum.Total))
}

// BurnRate returns the burn rate of a window. It is 0 if the window is known and has no
// events. It is nil if no slot is known, or if samples come seldom and the window has
// fewer than four.
func BurnRate(sum timeline.Sum, o slo.Objective) *float64 {
	if sum.Known == 0 || sum.Few {
		return nil
	}
	return new(consumedShare(sum, o))
}

// consumedShare returns the consumed share of the budget of a rolling window, which is
// its burn rate. It is not inlined, so that BurnRate is, whose rates take no memory then.
//
//go:noinline
func consumedShare(whole timeline.Sum, o slo.Objective) float64 {
	return o.BurnRate(max(whole.Bad, 0), whole.Total)
}

// exhaustion returns the time in seconds until the budget is spent, if coming slots are
// like those since basis, and old slots leave the window. It returns nil if that does not
// happen within the window. It checks each quarter of an hour of the coming day, and each
// hour after it. When it finds the budget spent, it checks the minutes in between. It
// skips days in which that is impossible.
func exhaustion(t *timeline.Timeline, end timeline.Minute, s *slo.SLO, basis timeline.Minute) *float64 {
	f, ok := newForecast(t, end, s, basis)
	if !ok {
		return nil
	}
	const day, hour = 24 * 60, 60
	for before, ahead := timeline.Minute(-1), timeline.Minute(0); before < f.window; {
		if next := min(ahead+day, f.window); ahead%day == 0 && f.unspent(ahead, next) {
			before, ahead = next, next
			continue
		}
		if f.spent(ahead) {
			for before++; !f.spent(before); before++ {
				continue // to the first minute; ahead is the last
			}
			return new(float64(before) * 60)
		}
		before = ahead
		if ahead < day {
			ahead += timeline.Quarter
		} else {
			ahead += hour
		}
		ahead = min(ahead, f.window)
	}
	return nil
}

// forecast describes the coming content of a rolling window.
type forecast struct {
	timeline   *timeline.Timeline
	at, days   timeline.Cursor // of minutes, and of whole days
	end        timeline.Minute
	window     timeline.Minute
	objective  slo.Objective
	bad, total float64 // of a coming slot
	now        timeline.Running
}

// newForecast returns a forecast in which coming slots are like those since basis. ok is
// false if none of these is known.
func newForecast(t *timeline.Timeline, end timeline.Minute, s *slo.SLO, basis timeline.Minute) (f forecast, ok bool) {
	recent := t.Sum(basis, end)
	known := float64(recent.Known)
	_, now := t.At(end)
	return forecast{
		timeline: t, at: timeline.Cursor{Timeline: t}, days: timeline.Cursor{Timeline: t},
		end: end, window: timeline.Minute(s.Window.Length.Duration() / time.Minute), objective: s.Objective,
		bad: max(recent.Bad, 0) / known, total: recent.Total / known, now: now,
	}, known > 0
}

// spent reports whether the budget is spent this many minutes ahead.
func (f *forecast) spent(ahead timeline.Minute) bool {
	_, then := f.at.At(f.end - f.window + ahead)
	coming := float64(f.timeline.Open(f.end, f.end+ahead))
	n := f.now.Total.Minus(then.Total).Events() + f.total*coming
	return f.burn(then, coming, n) >= 1
}

// burn returns the burn rate of n events. Bad are those after then, and those in the
// coming slots.
func (f *forecast) burn(then timeline.Running, coming, n float64) float64 {
	return f.objective.BurnRate(max(f.now.Bad.Minus(then.Bad).Events(), 0)+f.bad*coming, n)
}

// unspent reports whether the budget is certainly not spent at any instant from one to
// another. It compares the most bad events, of the window at from and those until to,
// with the fewest events, of the window at to and those until from.
func (f *forecast) unspent(from, to timeline.Minute) bool {
	if f.timeline.Falls() {
		return false
	}
	_, most := f.days.At(f.end - f.window + from)
	_, least := f.days.At(f.end - f.window + to)
	n := f.now.Total.Minus(least.Total).Events() + f.total*float64(f.timeline.Open(f.end, f.end+from))
	return f.burn(most, float64(f.timeline.Open(f.end, f.end+to)), n) < 1
}

// Buckets is the number of equal parts of a window in pictures.
const Buckets = 96

// history returns the parts of a window until end. Parts of a calendar period that has
// not ended are about as long as those of the whole.
func history(t *timeline.Timeline, end timeline.Minute, p timeline.Period) []Bucket {
	length := end - p.Start
	return Parts(t, end, length, min(max(Buckets*length/(p.End-p.Start), 1), length))
}

// FillBurning fills in the time of the gravest alert.
func (s *Status) FillBurning(t *timeline.Timeline, end timeline.Minute) {
	if len(s.Alerts) == 0 || !s.Alerts[0].Burns() {
		return
	}
	gravest := s.Alerts[0] // burn alerts come first, and of these pages
	long, err := slo.ParseWindow(gravest.Windows[0])
	if err != nil {
		return
	}
	length := end - timeline.MinuteOf(gravest.Since.Add(-long.Duration()))
	each := (length + Buckets - 1) / Buckets
	n := (length + each - 1) / each
	s.Burning = Parts(t, end, n*each, n)
}

// Parts returns n equal parts of a length that ends at end.
func Parts(t *timeline.Timeline, end, length, n timeline.Minute) []Bucket {
	out := make([]Bucket, n)
	l := timeline.Cursor{Timeline: t}
	from, a := l.At(end - length)
	for i := range n {
		to, b := l.At(end - length + length*(i+1)/n)
		sum := timeline.SumOf(from, to, &a, &b)
		out[i] = Bucket{End: to.Time(), Total: sum.Total, Bad: max(sum.Bad, 0), Coverage: sum.Coverage()}
		if sum.Excluded > 0 {
			out[i].Excluded = float64(sum.Excluded) / float64(to-from)
		}
		from, a = to, b
	}
	return out
}

// NewStatus returns a status with the fields that don't depend on the timeline.
func NewStatus(s *slo.SLO, backend string) Status {
	out := Status{
		ID: s.ID(), Service: s.Service, SLO: s.Name, Group: orEmpty(s.Group),
		Owner: s.Owner, Labels: orEmpty(s.Labels), Links: orEmpty(s.Links), Description: s.Description,
		Objective: s.Objective.Ratio(), Window: s.Window.String(), Budgeting: budgeting(s),
		Doubts: []Doubt{}, Method: MethodRaw, Exact: true, Windows: []WindowStatus{}, Alerts: []FiringAlert{},
		Policy: policySteps(s), Gate: unknownGate(s), Excluded: Excluded{By: []Exclusion{}}, Periods: []PeriodStatus{},
		Backend: backend, Source: s.Origin.Source, Revision: s.Origin.Revision, Spec: s,
	}
	if !s.Window.IsRolling() {
		out.Periods = nil
	}
	return out
}

func budgeting(s *slo.SLO) string {
	if s.Slice != nil {
		return "timeslices"
	}
	return "occurrences"
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

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

// FillExcluded fills in the excluded part of the SLO's own window.
func (s *Status) FillExcluded(t *timeline.Timeline, end timeline.Minute, v *timeline.View) {
	if len(s.Windows) == 0 || len(s.Spec.Exclusions) == 0 {
		return
	}
	start := timeline.MinuteOf(s.Windows[len(s.Windows)-1].Start)
	s.Excluded.Now = t.Excludes(end)
	for _, x := range v.Spans {
		if timeline.MinuteOf(x.To) > start && timeline.MinuteOf(x.From) < end {
			s.Excluded.Spans = append(s.Excluded.Spans, x)
		}
	}
	parts := t.RemovedBy(start, end, len(v.Each))
	for i, times := range v.Each {
		s.Excluded.Total += parts[i].Total
		s.Excluded.Bad += parts[i].Bad
		s.Excluded.Slots += parts[i].Excluded
		if !slices.ContainsFunc(times, func(a timeline.ExcludedTime) bool { return a.To > start && a.From < end }) {
			continue
		}
		x := &s.Spec.Exclusions[i]
		out := Exclusion{
			Total: parts[i].Total, Bad: parts[i].Bad, Slots: parts[i].Excluded,
			Reason: x.Reason, Ticket: x.Ticket, Source: x.Origin.Source, File: x.Origin.File, Line: x.Origin.Line,
		}
		if len(x.Intervals) == 0 {
			out.From, out.To = new(x.From.UTC()), new(x.To.UTC())
		}
		s.Excluded.By = append(s.Excluded.By, out)
	}
}
