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
		s.Windows = append(s.Windows, windowStatus(t.Sum(end.Add(-w.Duration()), end), w, o))
	}
	whole := t.Sum(end.Add(-s.Spec.Window.Duration()), end)
	s.Budget = budget(whole, o)
	basis := 6 * time.Hour
	for _, a := range s.Alerts {
		if a.Severity == "page" {
			basis = time.Hour
		}
	}
	s.Budget.Basis = slo.Window(basis).String()
	s.Budget.ExhaustedInSeconds = exhaustion(t, end, s.Spec, end.Add(-basis))
	s.History = history(t, end, s.Spec.Window)
}

func windowStatus(sum Sum, w slo.Window, o slo.Objective) WindowStatus {
	out := WindowStatus{
		Name: w.String(), Seconds: int64(w.Duration() / time.Second),
		Start: sum.Start.Time(), End: sum.End.Time(),
		Total: sum.Total, Bad: max(sum.Bad, 0), Coverage: sum.Coverage(),
	}
	if sum.Total > 0 {
		sli := 1 - out.Bad/out.Total
		out.SLI = &sli
	}
	out.BurnRate = BurnRate(sum, o)
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
	if recent.Known == 0 {
		return nil
	}
	bad, total := max(recent.Bad, 0)/float64(recent.Known), recent.Total/float64(recent.Known)
	window := Minute(s.Window.Duration() / time.Minute)
	spent := func(ahead Minute) bool {
		past := t.Sum(end-window+ahead, end)
		n := past.Total + total*float64(ahead)
		return n > 0 && s.Objective.BurnRate(max(past.Bad, 0)+bad*float64(ahead), n) >= 1
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
	for i := range n {
		sum := t.Sum(end-length+length*i/n, end-length+length*(i+1)/n)
		out[i] = Bucket{End: sum.End.Time(), Total: sum.Total, Bad: max(sum.Bad, 0), Coverage: sum.Coverage()}
	}
	return out
}

// newStatus is all of a status that does not depend on the timeline.
func newStatus(s *slo.SLO, backend string) Status {
	return Status{
		ID: s.ID(), Service: s.Service, SLO: s.Name, Group: map[string]string{},
		Owner: s.Owner, Labels: orEmpty(s.Labels), Links: orEmpty(s.Links), Description: s.Description,
		Objective: s.Objective.Ratio(), Window: s.Window.String(), Budgeting: "occurrences",
		Method: "raw", Exact: true, Windows: []WindowStatus{}, Alerts: []FiringAlert{},
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
	until := t.dataUntil()
	switch {
	case until == nil:
		return StateNoData, "no series match " + clockText(t.slo), nil
	case end.Time().Sub(*until) > t.silence():
		return StateNoData, fmt.Sprintf("no samples of %s since %s", clockText(t.slo), until.Format("2006-01-02 15:04 MST")), until
	case t.timeline.Sum(end.Add(-longest.Duration()), end).Total == 0:
		return StateNoTraffic, "no events in the last " + longest.String(), t.lastTraffic(end)
	}
	return StateOK, "", t.knownSince(end)
}

// clockText is the selector whose samples tell that an SLO has data.
func clockText(s *slo.SLO) string {
	c := s.Indicator.Counters()
	if c.Total.IsZero() {
		return c.Good.String()
	}
	return c.Total.String()
}

// lastTraffic is the end of the last quarter of an hour with events.
func (t *track) lastTraffic(end Minute) *time.Time {
	return t.walk(end, func(sum Sum) bool { return sum.Total > 0 })
}

// knownSince is the end of the last quarter of an hour with no known slot.
func (t *track) knownSince(end Minute) *time.Time {
	return t.walk(end, func(sum Sum) bool { return sum.Known == 0 })
}

// walk looks back from end for the last quarter of an hour for which holds is
// true, and returns its end; the beginning of the SLO's window without any.
func (t *track) walk(end Minute, holds func(Sum) bool) *time.Time {
	end -= end % quarter
	start := end.Add(-t.slo.Window.Duration())
	at := start.Time()
	for to := end; to > start; to -= quarter {
		if holds(t.timeline.Sum(to-quarter, to)) {
			at = to.Time()
			break
		}
	}
	return &at
}
