package history

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/counters"
	"github.com/slowburn-slo/slowburn/evaluator/plan"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// The whole of an SLO that is split by labels is followed, and so is each of its groups,
// as an SLO of its own. The series of the whole show which groups there are.

// retireAfter is how long a group may have no samples, while others have some. After that
// it is no longer followed. It is longer if absent data counts.
const retireAfter = 24 * time.Hour

// groupState is a group of an SLO, as its samples show it.
type groupState struct {
	Values []string // of the labels that the SLO is split by
	newest int64    // time of the newest sample, in milliseconds
}

// noteGroups stores the groups that a batch shows. Series without one of the labels
// belong to no group.
func (r *Record) noteGroups(batches [][]counting.RawSeries) {
	if r.Plan.Groups == nil {
		return
	}
	if r.Groups == nil {
		r.Groups = map[string]groupState{}
	}
	newest := int64(0)
	for i := range batches[0] {
		s := &batches[0][i]
		if len(s.Samples) == 0 || s.Roles&r.Plan.Inputs[0].Clock() == 0 {
			continue
		}
		values := make([]string, len(r.Plan.Groups.By))
		for j, name := range r.Plan.Groups.By {
			values[j] = s.Labels.Get(name)
		}
		last := s.Samples[len(s.Samples)-1].T
		newest = max(newest, last)
		key := groupKey(values)
		if g, known := r.Groups[key]; known && g.newest >= last || slices.Contains(values, "") {
			continue
		}
		r.Groups[key] = groupState{values, last}
	}
	gone := max(timeline.Minute(0).Add(retireAfter), r.Plan.Inputs[0].Absence)
	if r.Plan.AbsentBad {
		gone = max(gone, timeline.Minutes(slo.Remembrance))
	}
	maps.DeleteFunc(r.Groups, func(_ string, g groupState) bool { return g.newest < newest-gone.Millis() })
}

// groupKey returns a text that differs for the groups of an SLO.
func groupKey(values []string) string { return strings.Join(values, "\xff") }

// HasGroup reports whether a group of an SLO still has data, also beyond the limit of
// groups.
func (r *Record) HasGroup(s *slo.SLO, labels map[string]string) bool {
	values := make([]string, len(s.Groups.By))
	for i, name := range s.Groups.By {
		values[i] = labels[name]
	}
	_, has := r.Groups[groupKey(values)]
	return has
}

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

// judgedFrom returns where rulings for a group begin. Those for a record that continues
// need the evidence of the time before.
func (e *Read) judgedFrom() timeline.Minute {
	if e.Record.Settled < e.Record.Timeline.Start() {
		return e.Record.Settled
	}
	return e.Record.Settled - counting.LeadIn
}

// newJudge returns a Read beside that of a group, which makes its rulings.
func newJudge(e *Read) *Read {
	p := &plan.Plan{Options: plan.Options{Settle: e.Record.Plan.Settle, History: e.Record.Plan.History}, Inputs: []*plan.Input{e.Record.Plan.Inputs[0].WithoutGroup()}}
	settled := e.judgedFrom()
	record := &Record{Plan: p, Timeline: timeline.NewTimeline(settled), Inputs: make([]InputState, 1), Settled: settled, Piece: firstPiece}
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
			e.whole.Record.Settled = min(e.whole.Record.Settled, e.judgedFrom())
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
