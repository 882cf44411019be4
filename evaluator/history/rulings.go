package history

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// countsGroup reports whether a Read counts the counters of one group.
func (e *Read) countsGroup() bool {
	return len(e.Record.Plan.Inputs) == 1 && e.Record.Plan.Inputs[0].NewMethod == nil && e.Record.Plan.Inputs[0].IsGroup()
}

// judgesFor reports whether a Read is that of the whole of a group.
func (e *Read) judgesFor(group *Read) bool {
	mine, its := e.Record.Plan.Inputs[0], group.Record.Plan.Inputs[0]
	return e.Err == nil && e.Record.Inputs[0].Method == group.Record.Inputs[0].Method &&
		slices.EqualFunc(mine.Queries, its.Queries, func(x, y plan.Query) bool {
			return x.Role == y.Role && x.Weight == y.Weight && x.Text() == y.Text() && slices.Equal(x.By, y.By)
		})
}

// newJudge returns a Read beside that of a group, which makes its rulings.
func newJudge(e *Read) *Read {
	p := &plan.Plan{Settle: e.Record.Plan.Settle, Inputs: []*plan.Input{e.Record.Plan.Inputs[0].WithoutGroup()}, History: e.Record.Plan.History}
	record := &Record{Plan: p, Timeline: timeline.NewTimeline(e.Record.Settled), Inputs: make([]InputState, 1), Settled: e.Record.Settled, Piece: firstPiece}
	record.Inputs[0].Method = e.Record.Inputs[0].Method
	return &Read{Record: record, judges: true}
}

// withJudges assigns to the Reads of groups those that judge for them: those of the
// wholes, or new ones. For a single group it reads only a day of the whole, because the
// rest of its history is its own.
func (b *Reader) withJudges(ctx context.Context, entries []*Read, end timeline.Minute) []*Read {
	var judges, others []*Read
	for _, e := range entries {
		if e.Record.Plan.Groups != nil {
			judges = append(judges, e)
		} else {
			others = append(others, e)
		}
	}
	groups := map[*Read]int{}
	for _, e := range others {
		if e.Err != nil || !e.countsGroup() {
			continue
		}
		i := slices.IndexFunc(judges, func(w *Read) bool { return w.judgesFor(e) })
		if i < 0 {
			i = len(judges)
			judges = append(judges, newJudge(e))
			judges[i].Err = b.choose(ctx, judges[i], end)
		}
		e.whole = judges[i]
		groups[e.whole]++
		if e.whole.judges {
			e.whole.Record.Settled = min(e.whole.Record.Settled, e.Record.Settled)
		}
	}
	for w, n := range groups {
		if w.judges && n == 1 {
			w.Record.Settled = max(w.Record.Settled, min(end-counting.LeadIn-counting.MaxLag, end))
		}
	}
	return append(judges, others...)
}

// follow makes the counters of a group follow the rulings for the whole.
func (e *Read) follow(inputs, whole []InputState) {
	if e.whole == nil || e.whole.Err != nil || whole == nil {
		return
	}
	counters.Follow(inputs[0].Counting, whole[0].Counting)
}
