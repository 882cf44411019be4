package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/explain"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// Explain evaluates an SLO once, as EvaluateAt does, and proves its numbers. An SLO that
// can't be evaluated is in the state query_failed. The error is the end of ctx.
func (l *Loop) Explain(ctx context.Context, s *slo.SLO, at time.Time) (*explain.Proof, error) {
	if s.Groups != nil { // they have proofs of their own
		whole := *s
		whole.Groups = nil
		s = &whole
	}
	end := min(timeline.MinuteOf(at), l.newestEnd())
	from := evaluator.OwnStart(s.Window, end)
	st, queries := newState(l), []backend.Query{}
	defer st.laneOf(s).Trace(func(q backend.Query) { queries = append(queries, q) })()
	st.recorder, st.recorded = counting.NewRecorder(from, end), s
	r, err := st.evaluateOnce(ctx, []*slo.SLO{s}, end.Time())
	if err != nil {
		return nil, err
	}
	t := st.followed[s.ID()]
	e := explain.Evidence{
		Status: r.SLOs[0], Plan: t.job.Plan, Sum: timeline.Sum{Start: from, End: end},
		Recorder: st.recorder, Queries: &queries, Problems: st.problems,
	}
	if t.job.err == nil {
		e.Record, e.Sum = t.job.record, t.timeline().Sum(from, end)
	}
	p := explain.Prove(ctx, t.job.lane.Reader, r.EvaluatedAt, e)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("checking: %w", err)
	}
	return p, nil
}
