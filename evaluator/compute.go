package evaluator

import (
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// Compute fills in what follows from the timeline at the instant end: windows,
// budget and history. The last of the windows is the SLO's own.
func (s *Status) Compute(t *Timeline, end Minute, windows []slo.Window) {
	o := s.Spec.Objective
	s.Windows = make([]WindowStatus, 0, len(windows))
	for _, w := range windows {
		sum := t.Window(w.Duration(), end)
		s.Windows = append(s.Windows, windowStatus(sum, w, o, sum.Start >= t.Start()))
	}
	whole := t.Window(s.Spec.Window.Length.Duration(), end)
	read := whole.Start >= t.Start()
	s.Budget = Budget{}
	if read {
		s.Budget = budget(whole, o)
	}
	basis := 6 * time.Hour
	for _, a := range s.Alerts {
		if a.Severity == "page" {
			basis = time.Hour
		}
	}
	s.Budget.Basis = slo.Window(basis).String()
	if read && whole.Known > 0 {
		s.Budget.ExhaustedInSeconds = exhaustion(t, end, s.Spec, max(end.Add(-basis), whole.Start))
	}
	s.History = history(t, end, s.Spec.Window.Length)
}

// windowStatus is the status of a window. Its ratios are undefined while a part
// of it is not read yet.
func windowStatus(sum Sum, w slo.Window, o slo.Objective, read bool) WindowStatus {
	out := WindowStatus{
		Name: w.String(), Seconds: int64(w.Duration() / time.Second),
		Start: sum.Start.Time(), End: sum.End.Time(),
		Total: sum.Total, Bad: max(sum.Bad, 0), Coverage: sum.Coverage(),
	}
	if sum.Total > 0 && read {
		sli := 1 - out.Bad/out.Total
		out.SLI = &sli
	}
	if read {
		out.BurnRate = BurnRate(sum, o)
	}
	return out
}

// BurnRate is the burn rate of a window: 0 when it is known and nothing
// happened, nil when no slot of it is known.
func BurnRate(sum Sum, o slo.Objective) *float64 {
	if sum.Known == 0 {
		return nil
	}
	rate := o.BurnRate(max(sum.Bad, 0), sum.Total)
	return &rate
}

func budget(whole Sum, o slo.Objective) Budget {
	if whole.Known == 0 {
		return Budget{}
	}
	allowed := o.Allowed(whole.Total)
	consumed := o.BurnRate(max(whole.Bad, 0), whole.Total)
	remaining := 1 - consumed
	return Budget{Allowed: &allowed, Consumed: &consumed, Remaining: &remaining}
}

// exhaustion is the time until the budget is spent when coming slots are as
// those since basis, and old slots leave the window; nil when that does not
// happen within the window. It looks at each quarter of an hour of the coming
// day and at each hour after it, and where the budget is spent by then, at the
// minutes in between.
func exhaustion(t *Timeline, end Minute, s *slo.SLO, basis Minute) *float64 {
	recent := t.Sum(basis, end)
	known := float64(recent.Known - recent.Excluded)
	if known == 0 {
		return nil
	}
	bad, total := max(recent.Bad, 0)/known, recent.Total/known
	window := Minute(s.Window.Length.Duration() / time.Minute)
	_, now := t.at(end)
	l := looker{timeline: t}
	spent := func(ahead Minute) bool {
		_, then := l.at(end - window + ahead)
		coming := float64(t.open(end, end+ahead))
		n := now.total - then.total + total*coming
		return n > 0 && s.Objective.BurnRate(max(now.bad-then.bad, 0)+bad*coming, n) >= 1
	}
	const day, hour = 24 * 60, 60
	for before, ahead := Minute(-1), Minute(0); before < window; {
		if spent(ahead) {
			for before++; !spent(before); before++ {
				continue // to the first minute; ahead is the last
			}
			seconds := float64(before) * 60
			return &seconds
		}
		before = ahead
		if ahead < day {
			ahead += quarter
		} else {
			ahead += hour
		}
		ahead = min(ahead, window)
	}
	return nil
}

// buckets is the number of equal parts of a window that pictures show.
const buckets = 96

func history(t *Timeline, end Minute, w slo.Window) []Bucket {
	length := Minute(w.Duration() / time.Minute)
	n := min(buckets, length)
	out := make([]Bucket, n)
	l := looker{timeline: t}
	from, a := l.at(end - length)
	for i := range n {
		to, b := l.at(end - length + length*(i+1)/n)
		sum := sumOf(from, to, a, b)
		out[i] = Bucket{End: to.Time(), Total: sum.Total, Bad: max(sum.Bad, 0), Coverage: sum.Coverage()}
		if sum.Excluded > 0 {
			out[i].Excluded = float64(sum.Excluded) / float64(to-from)
		}
		from, a = to, b
	}
	return out
}

// newStatus is all of a status that does not depend on the timeline.
func newStatus(s *slo.SLO, backend string) Status {
	return Status{
		ID: s.ID(), Service: s.Service, SLO: s.Name, Group: map[string]string{},
		Owner: s.Owner, Labels: orEmpty(s.Labels), Links: orEmpty(s.Links), Description: s.Description,
		Objective: s.Objective.Ratio(), Window: s.Window.String(), Budgeting: "occurrences",
		Method: MethodRaw, Exact: true, Windows: []WindowStatus{}, Alerts: []FiringAlert{},
		Policy: policySteps(s), Gate: unknownGate(s), Excluded: Excluded{By: []Exclusion{}},
		Backend: backend, Source: s.Origin.Source, Revision: s.Origin.Revision, Spec: s,
	}
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// dataState is the state that follows from the data alone, its reason, and
// since when. longest is the longest page window.
func (t *track) dataState(end Minute, longest slo.Window) (State, string, *time.Time) {
	k := t.ledger.book
	until := k.dataUntil()
	switch {
	case until == nil:
		return StateNoData, "no series match " + clockText(t.slo.Indicator), nil
	case end.Time().Sub(*until) > k.silence():
		return StateNoData, fmt.Sprintf("no samples of %s since %s", clockText(t.slo.Indicator), until.Format("2006-01-02 15:04 MST")), until
	case k.timeline.Sum(end.Add(-longest.Duration()), end).Total == 0:
		return StateNoTraffic, "no events in the last " + longest.String(), t.lastTraffic(end)
	}
	return StateOK, "", t.knownSince(end)
}

// clockText is the selector whose samples tell that an SLO has data.
func clockText(i slo.Indicator) string {
	c := i.Measure().(slo.Counters)
	if c.Total.IsZero() {
		return c.Good.String()
	}
	return c.Total.String()
}

// lastTraffic is the end of the last quarter of an hour with events.
func (t *track) lastTraffic(end Minute) *time.Time {
	return t.last(end, func(sum Sum) bool { return sum.Total > 0 })
}

// knownSince is the end of the last quarter of an hour with no known slot.
func (t *track) knownSince(end Minute) *time.Time {
	return t.last(end, func(sum Sum) bool { return int(sum.End-sum.Start)-sum.Known >= quarter })
}

// last is the end of the last quarter of an hour in the SLO's window for which
// may is true, and the beginning of the window without any. What may is not
// true of has no such quarter in it.
func (t *track) last(end Minute, may func(Sum) bool) *time.Time {
	end -= end % quarter
	start := end.Add(-t.slo.Window.Length.Duration())
	var find func(from, to Minute) Minute
	find = func(from, to Minute) Minute {
		if from >= to || !may(t.ledger.book.timeline.Sum(from, to)) {
			return start
		}
		if to-from < 2*quarter {
			return to
		}
		middle := from + (to-from)/quarter/2*quarter
		if at := find(middle, to); at > start {
			return at
		}
		return find(from, middle)
	}
	at := find(start, end).Time()
	return &at
}
