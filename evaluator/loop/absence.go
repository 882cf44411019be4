package loop

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

const (
	// absenceRetry is the time in minutes between two queries about the targets of a
	// silent job.
	absenceRetry = 5
	// maxAbsenceQueries bounds the number of selectors whose targets are queried at
	// once. If all of a backend is silent, the first few are enough.
	maxAbsenceQueries = 20
)

// absence is the cause, by its targets, why an input of a job has no data.
type absence struct {
	cause string
	asked timeline.Minute
}

// findAbsences finds the cause for each silent job.
func findAbsences(ctx context.Context, b *history.Reader, jobs []*job, end timeline.Minute) {
	found := map[string]string{}
	for _, j := range jobs {
		if j.err != nil {
			continue
		}
		i := slices.IndexFunc(j.record.Inputs, func(p history.InputState) bool { return p.Silent(end) })
		if i < 0 || j.record.Inputs[i].Newest == 0 {
			j.absence = absence{}
			continue
		}
		clock := j.Inputs[i].ClockQuery()
		if clock == nil || clock.Selector.IsZero() || j.absence.asked != 0 && end-j.absence.asked < absenceRetry {
			continue
		}
		cause, known := found[clock.Text()]
		if !known {
			if len(found) == maxAbsenceQueries {
				continue
			}
			cause = b.Cause(ctx, clock.Selector, *j.record.Inputs[i].NewestTime(), end)
			found[clock.Text()] = cause
		}
		j.absence = absence{cause, end}
	}
}
