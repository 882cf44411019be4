package loop

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/history"
	"github.com/slowburn-slo/slowburn/evaluator/mismatch"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
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

// spelling is the result of the last look for other texts of the buckets that an SLO of
// events selects by le.
type spelling struct {
	asked  timeline.Minute
	missed string // the message about buckets that are not counted; "" for none
}

// findSpellings queries, each quarter of an hour, the texts of the buckets that jobs
// select by le. A client or a backend may begin to write them in another way.
func findSpellings(ctx context.Context, b *history.Reader, jobs []*job, end timeline.Minute) {
	known := map[string][]string{}
	for _, j := range jobs {
		if j.err != nil || j.spelling.asked != 0 && j.spelling.asked/timeline.Quarter == end/timeline.Quarter {
			continue
		}
		j.spelling.asked = end
		missed := ""
		for _, m := range j.Inputs {
			for _, q := range m.Queries {
				if _, isBucket := q.Selector.Bound(); !isBucket || q.Way == plan.SlotValues || m.Indicator.Kind() == "latency" {
					continue
				}
				all := mismatch.DropMatchers(q.Selector, labels.BucketLabel)
				if _, asked := known[all.String()]; !asked {
					answer, err := b.Query(ctx, fmt.Sprintf("group by (le) (%s)", all), end.Time())
					if err != nil {
						return
					}
					known[all.String()] = mismatch.TextsOf(answer, labels.BucketLabel)
				}
				if _, more := mismatch.Spellings(q.Selector, known[all.String()]); len(more) > 0 && missed == "" {
					missed = fmt.Sprintf("%s has the bucket %s also as le=%q, which is not counted: write %s", q.Selector.Name(),
						mismatch.MatcherOf(q.Selector, labels.BucketLabel), more[0], mismatch.Alternatives(labels.BucketLabel, q.Selector, more))
				}
			}
		}
		j.spelling.missed = missed
	}
}

// respelledDoubt returns the doubt about a bucket that exists under a text that is not
// counted.
func (t *followed) respelledDoubt() *evaluator.Doubt {
	if missed := t.job.spelling.missed; missed != "" {
		return &evaluator.Doubt{Code: evaluator.DoubtPartlyKnown, Message: missed}
	}
	return nil
}
