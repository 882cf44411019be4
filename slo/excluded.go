package slo

import (
	"slices"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
)

// Span is excluded time: all of (From, To], in whole minutes.
type Span struct{ From, To time.Time } // UTC

// Excluded are the times in (from, to] that a list of exclusions excludes, in
// order and without overlaps or touching ends. A minute is excluded whole when a
// part of it is.
func Excluded(list []Exclusion, from, to time.Time) []Span {
	from, to = floor(from), ceil(to)
	var all []Span
	for i := range list {
		all = append(all, list[i].spans(from, to)...)
	}
	slices.SortFunc(all, func(a, b Span) int { return a.From.Compare(b.From) })
	var out []Span
	for _, s := range all {
		if last := len(out) - 1; last < 0 || s.From.After(out[last].To) {
			out = append(out, s)
		} else if s.To.After(out[last].To) {
			out[last].To = s.To
		}
	}
	return out
}

// spans are the times that one exclusion excludes.
func (e *Exclusion) spans(from, to time.Time) []Span {
	var out []Span
	add := func(a, b time.Time) {
		a, b = later(a, from), earlier(b, to)
		if last := len(out) - 1; !a.Before(b) {
			return
		} else if last >= 0 && !floor(a).After(out[last].To) {
			out[last].To = later(out[last].To, ceil(b))
		} else {
			out = append(out, Span{From: floor(a), To: ceil(b)})
		}
	}
	if len(e.Intervals) == 0 {
		add(e.From, e.To)
		return out
	}
	at := from // up to which out is known
	for _, inside := range e.insides(from, to) {
		if e.OperatingHours {
			add(at, inside.From)
		} else {
			add(inside.From, inside.To)
		}
		at = later(at, inside.To)
	}
	if e.OperatingHours {
		add(at, to)
	}
	return out
}

// insides are the times, to the instant, that any of the intervals contains, in the order of
// their beginnings. They can overlap.
func (e *Exclusion) insides(from, to time.Time) []Span {
	var out []Span
	for _, i := range e.Intervals {
		edges := appendEdges([]time.Time{from, to}, i, from, to)
		slices.SortFunc(edges, time.Time.Compare)
		for n, at := range edges[:len(edges)-1] {
			switch last := len(out) - 1; {
			case !at.Before(edges[n+1]) || !i.ContainsTime(at):
			case last >= 0 && out[last].To.Equal(at):
				out[last].To = edges[n+1]
			default:
				out = append(out, Span{at, edges[n+1]})
			}
		}
	}
	slices.SortFunc(out, func(a, b Span) int { return a.From.Compare(b.From) })
	return out
}

// appendEdges adds the instants between two others at which an interval may begin
// or end: at the beginning of a day and at each time that it names, on its own
// clock, and where that clock is moved.
func appendEdges(edges []time.Time, i timeinterval.TimeInterval, from, to time.Time) []time.Time {
	minutes := []int{0}
	for _, r := range i.Times {
		minutes = append(minutes, r.StartMinute, r.EndMinute)
	}
	slices.Sort(minutes)
	minutes = slices.Compact(minutes)
	zone := time.UTC
	if i.Location != nil {
		zone = i.Location.Location
	}
	const day = 24 * 60 * 60
	for at := from; at.Before(to); {
		local := at.In(zone)
		_, offset := local.Zone()
		_, until := local.ZoneBounds() // in between the clock runs on
		if until.IsZero() || until.After(to) {
			until = to
		}
		clock := at.Unix() + int64(offset)
		for midnight := clock - (clock%day+day)%day; midnight < until.Unix()+int64(offset); midnight += day {
			for _, m := range minutes {
				edge := time.Unix(midnight+int64(m)*60-int64(offset), 0).UTC()
				if edge.After(at) && edge.Before(until) {
					edges = append(edges, edge)
				}
			}
		}
		at = until.UTC()
		edges = append(edges, at)
	}
	return edges
}

func floor(t time.Time) time.Time {
	t = t.UTC()
	return t.Add(-time.Duration((t.Unix()%60+60)%60)*time.Second - time.Duration(t.Nanosecond()))
}

func ceil(t time.Time) time.Time {
	if f := floor(t); f.Before(t) {
		return f.Add(time.Minute)
	}
	return floor(t)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Exclusion is time that counts neither for nor against an SLO: a planned
// window, hours outside operation, or a correction of the past.
type Exclusion struct {
	From, To       time.Time                   // zero when it recurs
	Intervals      []timeinterval.TimeInterval // of one that recurs
	OperatingHours bool                        // Intervals are what is not excluded
	Reason, Ticket string
	Origin         Origin
}
