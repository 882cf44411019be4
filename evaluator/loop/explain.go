package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/explain"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Explain evaluates an SLO once, as EvaluateAt does, and proves its numbers. An
// SLO that can't be evaluated is in the state query_failed; only the end of ctx
// is an error.
func (e *Loop) Explain(ctx context.Context, s *slo.SLO, at time.Time) (*explain.Proof, error) {
	if s.Groups != nil { // they have proofs of their own
		whole := *s
		whole.Groups = nil
		s = &whole
	}
	end := min(timeline.MinuteOf(at), e.behindNow())
	w := counting.NewRecorder(evaluator.OwnStart(s.Window, end), end)
	b := e.backendOf(s)
	p := &explain.Proof{Format: 1, Start: w.From.Time(), End: w.To.Time(), Queries: []backend.Query{}, Checks: []explain.Check{}, Problems: e.problems}
	defer b.Trace(func(q backend.Query) { p.Queries = append(p.Queries, q) })()
	e.witness, e.explained = w, s
	r, err := e.EvaluateAt(ctx, []*slo.SLO{s}, end.Time())
	if err != nil {
		return nil, err
	}
	p.EvaluatedAt, p.SLO = r.EvaluatedAt, r.SLOs[0]
	l := e.jobs[e.keyOf(s)]
	sum := timeline.Sum{Start: w.From, End: w.To}
	counted := sum
	if l.err == nil {
		sum = e.tracks[s.ID()].timeline().Sum(w.From, w.To)
		counted = l.book.Timeline.Sum(w.From, w.To)
		p.Slots.Quarters = int(max(0, l.book.Timeline.FineFrom-w.From) / timeline.Quarter)
	}
	p.AddCounts(sum)
	p.AddSamples(w)
	p.Arithmetic = explain.Arithmetic(&p.SLO, sum)
	p.AddNotes(sum)
	p.Notes = append(p.Notes, l.notes()...)
	if l.err == nil {
		p.Checks = explain.Checks(ctx, b.Reader, l.book, w, counted)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("checking: %w", err)
	}
	return p, nil
}

// notes tell how the events of a ledger are made, where they are no increments of
// counters.
func (l *job) notes() []string {
	var out []string
	if l.Slice != nil {
		out = append(out, fmt.Sprintf("a slice of %s is bad when less than %s %% of its events are good", l.Slice.Length, l.Slice.Target.Percent()))
	}
	if l.Combine != nil {
		out = append(out, "a minute is bad when that of any part is; the parts have proofs of their own")
		return out
	}
	m := l.Inputs[0]
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
		if l.book != nil && m.Paced() {
			if note := gauges.PaceNote(l.book.Inputs[0].Counting.(*gauges.Values).Paces); note != "" {
				out = append(out, note)
			}
		}
	case slo.Runs:
		out = append(out, "each new time of success is a run that succeeded, and each period that passes without one a run that failed")
	case slo.Rates:
		out = append(out, "the query is evaluated at the end of each minute, over more than that minute: windows are exact, but for their edges")
	}
	if m.Native != nil && l.book != nil && l.book.Inputs[0].Native {
		out = append(out, "native histograms are counted as the classic series that would say the same; there is no direct query to check them by")
	}
	if l.book != nil && l.book.Inputs[0].Inexact {
		out = append(out, "the threshold lies within a bucket of native histograms: the events are an estimate")
	}
	return out
}
