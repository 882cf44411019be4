package explain

import (
	"fmt"

	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/slo"
)

// methodNotes returns notes on how events are made that are not increments of counters.
// record is nil if the SLO could not be read.
func methodNotes(p *plan.Plan, record *history.Record) []string {
	var out []string
	if p.Slice != nil {
		out = append(out, fmt.Sprintf("a slice of %s is bad when less than %s %% of its events are good", p.Slice.Length, p.Slice.Target.Percent()))
	}
	if p.Combine != nil {
		out = append(out, "a minute is bad when that of any part is; the parts have proofs of their own")
		return out
	}
	m := p.Inputs[0]
	switch measure := m.Indicator.Measure().(type) {
	case slo.States:
		out = append(out, "each minute of a series counts, and is bad when any sample in it is 0")
	case slo.Increments:
		note := "each sample is the number of events since the one before, and counts in the minute of its time"
		if measure.PerSecond {
			note = "each sample is a number of events per second, times the time since the one before, which counts in the minute of its time"
		}
		out = append(out, note)
	case slo.Levels:
		out = append(out, "a minute is bad unless all values of the query at its end are as they should be")
		if record != nil && m.Paced() {
			if note := gauges.PaceNote(record.Inputs[0].Counting.(*gauges.Values).Paces); note != "" {
				out = append(out, note)
			}
		}
	case slo.Runs:
		out = append(out, "each new time of success is a run that succeeded, and each period that passes without one a run that failed")
	case slo.Rates:
		out = append(out, "the query is evaluated at the end of each minute, over more than that minute: windows are exact, but for their edges")
	}
	if m.Native != nil && record != nil && record.Inputs[0].Native {
		out = append(out, "native histograms are counted as the classic series that would say the same; there is no direct query to check them by")
	}
	if record != nil && record.Inputs[0].Inexact {
		out = append(out, "the threshold lies within a bucket of native histograms: the events are an estimate")
	}
	return out
}
