package evaluator

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// FillExcluded fills in the excluded part of the SLO's own window.
func (s *Status) FillExcluded(t *timeline.Timeline, end timeline.Minute, v *timeline.View) {
	if len(s.Windows) == 0 || len(s.Spec.Exclusions) == 0 {
		return
	}
	start := timeline.MinuteOf(s.Windows[len(s.Windows)-1].Start)
	gone := t.Removed(start, end)
	s.Excluded.Total = gone.Total
	s.Excluded.Bad = gone.Bad
	s.Excluded.Slots = gone.Excluded
	s.Excluded.Now = t.Excludes(end)
	for _, x := range v.Spans {
		if timeline.MinuteOf(x.To) > start && timeline.MinuteOf(x.From) < end {
			s.Excluded.Spans = append(s.Excluded.Spans, x)
		}
	}
	parts := t.RemovedBy(start, end, len(v.Each))
	for i, times := range v.Each {
		if !slices.ContainsFunc(times, func(a timeline.ExcludedTime) bool { return a.To > start && a.From < end }) {
			continue
		}
		x := &s.Spec.Exclusions[i]
		out := Exclusion{
			Total: parts[i].Total, Bad: parts[i].Bad, Slots: parts[i].Excluded,
			Reason: x.Reason, Ticket: x.Ticket, Source: x.Origin.Source, File: x.Origin.File, Line: x.Origin.Line,
		}
		if len(x.Intervals) == 0 {
			from, to := x.From.UTC(), x.To.UTC()
			out.From, out.To = &from, &to
		}
		s.Excluded.By = append(s.Excluded.By, out)
	}
}
