package history

import (
	"context"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// ofGroup reports whether an entry counts counters of a group.
func (e *Read) ofGroup() bool {
	return len(e.Record.Plan.Inputs) == 1 && e.Record.Plan.Inputs[0].Fresh == nil && e.Record.Plan.Inputs[0].OfGroup()
}

// judgesFor reports whether an entry is of the whole of which another is a group.
func (e *Read) judgesFor(group *Read) bool {
	mine, its := e.Record.Plan.Inputs[0], group.Record.Plan.Inputs[0]
	return e.Err == nil && e.Record.Inputs[0].Method == group.Record.Inputs[0].Method &&
		slices.EqualFunc(mine.Queries, its.Queries, func(x, y plan.Query) bool {
			return x.Role == y.Role && x.Weight == y.Weight && x.Text() == y.Text() && slices.Equal(x.By, y.By)
		})
}

// newJudge makes an entry that is read along with that of a group, and judges for it.
func newJudge(e *Read) *Read {
	m := *e.Record.Plan.Inputs[0]
	m.Queries = slices.Clone(m.Queries)
	for i := range m.Queries {
		m.Queries[i].Only = nil
		m.Queries[i] = m.Queries[i].Named()
	}
	l := &plan.Plan{Settle: e.Record.Plan.Settle, Inputs: []*plan.Input{&m}, History: e.Record.Plan.History}
	k := &Record{Plan: l, Timeline: timeline.NewTimeline(e.Record.Settled), Inputs: make([]InputState, 1), Settled: e.Record.Settled, Piece: firstPiece}
	k.Inputs[0].Method = e.Record.Inputs[0].Method
	return &Read{Record: k, judges: true}
}

// judged finds for entries of groups those that judge for them: those of the wholes, or
// new ones. For a single group, whose past is its own, it reads but a day of all.
func (b *Reader) judged(ctx context.Context, entries []*Read, end timeline.Minute) []*Read {
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
		if e.Err != nil || !e.ofGroup() {
			continue
		}
		i := slices.IndexFunc(judges, func(w *Read) bool { return w.judgesFor(e) })
		if i < 0 {
			i = len(judges)
			judges = append(judges, newJudge(e))
			judges[i].Err = b.choose(ctx, judges[i], end)
		}
		e.whole = judges[i]
		if groups[e.whole]++; e.whole.judges {
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

// follow lets parts of a group follow what was ruled for the whole.
func (e *Read) follow(parts, whole []InputState) {
	if e.whole == nil || e.whole.Err != nil || whole == nil {
		return
	}
	switch a := parts[0].Counting.(type) {
	case *counters.Raw:
		a.Followed = whole[0].Counting.(*counters.Raw).Rulings
	case *counters.Targets:
		a.Followed = whole[0].Counting.(*counters.Targets).Rulings
	}
}
