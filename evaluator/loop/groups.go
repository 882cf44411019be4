package loop

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// retiredFor is for how long a report names a group that was retired, in minutes:
// longer than whoever reads reports needs to see one.
const retiredFor = 60

// groupsOf are the groups of an SLO, as SLOs, in the order of their values, and
// how many more there are than the limit.
func groupsOf(s *slo.SLO, l *job) (out []*slo.SLO, leftOut int) {
	if s.Groups == nil || l == nil || l.book == nil {
		return nil, 0
	}
	keys := slices.Sorted(maps.Keys(l.book.Groups))
	limit := min(len(keys), s.Groups.Limit)
	for _, key := range keys[:limit] {
		group := map[string]string{}
		for i, name := range s.Groups.By {
			group[name] = l.book.Groups[key].Values[i]
		}
		out = append(out, s.Of(group))
	}
	return out, len(keys) - limit
}

// regroup follows the groups that appeared and leaves those that vanished, of the
// SLOs of a ledger.
func (e *Loop) regroup(ctx context.Context, l *job) {
	if l.Groups == nil {
		return
	}
	var begun, unlike []*job
	for _, t := range slices.Clone(e.byJob[l]) {
		if t.slo.Groups == nil {
			continue
		}
		before := t.groups
		t.groups = map[string]*followed{}
		slos, leftOut := groupsOf(t.slo, l)
		for _, s := range slos {
			id := s.ID()
			if g := before[id]; g != nil {
				t.groups[id] = g
				delete(before, id)
				if g.job.unlike(l) && !slices.Contains(unlike, g.job) {
					g.job.book.Outgrown = true
					unlike = append(unlike, g.job)
				}
				continue
			}
			g, fresh := e.follow(s)
			if t.groups[id] = g; fresh {
				begun = append(begun, g.job)
			}
		}
		for id, g := range before {
			if e.leave(g); l.healthy() && !l.book.HasGroup(t.slo, g.slo.Group) {
				e.retired[id] = l.book.Timeline.End()
			}
		}
		e.tell(t, leftOut)
	}
	if len(begun) > 0 {
		e.readHistory(ctx, begun)
	}
	e.rereadWhole(ctx, unlike)
}

// healthy reports whether what the backend shows is all that it has, and new.
func (l *job) healthy() bool {
	return l.err == nil && !l.preview && l.lane.stale == nil && l.book.Silent(l.book.Timeline.End()) == nil
}

// retiredIDs are the groups that were retired in the last hour and did not come
// back.
func (e *Loop) retiredIDs() []string {
	maps.DeleteFunc(e.retired, func(id string, at timeline.Minute) bool { return e.end-at > retiredFor || e.tracks[id] != nil })
	return slices.Sorted(maps.Keys(e.retired))
}

// unlike reports whether a group's ledger still counts single series of a whole
// that has too many of them.
func (l *job) unlike(whole *job) bool {
	return l.book != nil && !l.preview && !l.rereading && len(l.book.Inputs) == len(whole.book.Inputs) &&
		l.book.Inputs[0].Method == evaluator.MethodRaw && whole.book.Inputs[0].Method == evaluator.MethodAggregated
}

// follow begins to follow an SLO. It reports whether the ledger is new.
func (e *Loop) follow(s *slo.SLO) (t *followed, fresh bool) {
	fresh = e.jobs[e.keyOf(s)] == nil
	t, l := e.newTrack(s)
	e.tracks[s.ID()] = t
	e.byJob[l] = append(e.byJob[l], t)
	if l.book != nil && l.err == nil {
		e.evaluateAll(l, l.book.Timeline.End())
	}
	return t, fresh
}

// leave follows an SLO no more.
func (e *Loop) leave(t *followed) {
	l := t.job
	delete(e.tracks, t.slo.ID())
	e.byJob[l] = slices.DeleteFunc(e.byJob[l], func(o *followed) bool { return o == t })
	if len(e.byJob[l]) == 0 {
		l.stop()
		delete(e.byJob, l)
		delete(e.jobs, l.Key)
	}
}

// tell notes how many groups of an SLO are left out.
func (e *Loop) tell(t *followed, leftOut int) {
	if leftOut > 0 && t.leftOut == 0 {
		e.Log.Warn("An SLO has more groups than its limit, some are left out",
			"slo_id", t.slo.ID(), "limit", t.slo.Groups.Limit, "left_out", leftOut)
	}
	t.leftOut = leftOut
	t.status.Groups = t.groupsStatus()
}

// groupsStatus is what is known of an SLO's groups, nil where it has none.
func (t *followed) groupsStatus() *evaluator.GroupsStatus {
	if t.slo.Groups == nil {
		return nil
	}
	return &evaluator.GroupsStatus{By: t.slo.Groups.By, Count: len(t.groups), LeftOut: t.leftOut}
}

// leftOut are the findings about groups that are left out.
func leftOut(tracks map[string]*followed) []evaluator.Problem {
	var out []evaluator.Problem
	for _, id := range slices.Sorted(maps.Keys(tracks)) {
		t := tracks[id]
		if t.leftOut > 0 {
			o := t.slo.Origin
			out = append(out, evaluator.Problem{
				Source: o.Source, File: o.File, Line: o.Line, Column: o.Column, Severity: "warning",
				Message: fmt.Sprintf("%s has %d groups more than its limit of %d; those are not followed one by one",
					id, t.leftOut, t.slo.Groups.Limit),
				Hint: "raise groups.limit, or split by fewer labels",
			})
		}
	}
	return out
}
