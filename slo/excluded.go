package slo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
)

// Span is excluded time: all of (From, To], in whole minutes.
type Span struct{ From, To time.Time } // UTC

// ExclusionsText is a text that is equal for lists that exclude the same times.
func ExclusionsText(list []Exclusion) string {
	var out strings.Builder
	for i := range list {
		intervals, err := json.Marshal(list[i].Intervals)
		_, _ = fmt.Fprintln(&out, list[i].From.Unix(), list[i].To.Unix(), list[i].OperatingHours, string(intervals), err) // never fails
	}
	return out.String()
}

// Excluded are the times in (from, to] that a list of exclusions excludes, in
// order and without overlaps or touching ends. A minute is excluded whole when a
// part of it is.
func Excluded(list []Exclusion, from, to time.Time) []Span {
	from, to = floor(from), ceil(to)
	var all []Span
	for i := range list {
		for _, s := range list[i].spans(from, to) {
			if begin, end := later(s.From, from), earlier(s.To, to); begin.Before(end) {
				all = append(all, Span{floor(begin), ceil(end)})
			}
		}
	}
	return union(all)
}

// union returns the same times in order, without overlaps or touching ends.
func union(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return a.From.Compare(b.From) })
	var out []Span
	for _, s := range spans {
		if last := len(out) - 1; last < 0 || s.From.After(out[last].To) {
			out = append(out, s)
		} else {
			out[last].To = later(out[last].To, s.To)
		}
	}
	return out
}

// spans are the times, to the instant, that one exclusion excludes.
func (e *Exclusion) spans(from, to time.Time) []Span {
	if len(e.Intervals) == 0 {
		return []Span{{e.From, e.To}}
	}
	inside := e.insides(from, to)
	if !e.OperatingHours {
		return inside
	}
	var out []Span
	end := from // of the operating hours before
	for _, s := range inside {
		out = append(out, Span{end, s.From})
		end = s.To
	}
	return append(out, Span{end, to})
}

// insides are the times, to the instant, that any of the intervals contains.
func (e *Exclusion) insides(from, to time.Time) []Span {
	var out []Span
	for _, i := range e.Intervals {
		edges := appendEdges([]time.Time{from, to}, i, from, to)
		slices.SortFunc(edges, time.Time.Compare)
		for n, at := range edges[:len(edges)-1] {
			if at.Before(edges[n+1]) && i.ContainsTime(at) {
				out = append(out, Span{at, edges[n+1]})
			}
		}
	}
	return union(out)
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

func floor(t time.Time) time.Time { return t.UTC().Truncate(time.Minute) }

func ceil(t time.Time) time.Time { return floor(t.Add(time.Minute - 1)) }

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
	OperatingHours bool                        // Intervals are the times that are not excluded
	Reason, Ticket string
	Origin         Origin
}
