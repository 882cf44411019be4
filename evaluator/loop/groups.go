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

// retiredFor is the time in minutes for which a report names a retired group. It is
// longer than the time between two looks at a report.
const retiredFor = 60

// groupsOf returns the groups of an SLO as SLOs, in the order of their values, and how
// many more there are than the limit.
func groupsOf(s *slo.SLO, j *job) (out []*slo.SLO, leftOut int) {
	if s.Groups == nil || j == nil || j.record == nil {
		return nil, 0
	}
	keys := slices.Sorted(maps.Keys(j.record.Groups))
	limit := min(len(keys), s.Groups.Limit)
	for _, key := range keys[:limit] {
		group := map[string]string{}
		for i, name := range s.Groups.By {
			group[name] = j.record.Groups[key].Values[i]
		}
		out = append(out, s.Of(group))
	}
	return out, len(keys) - limit
}

// regroup follows the groups of a job's SLOs that appeared, and leaves those that
// vanished.
func (st *state) regroup(ctx context.Context, j *job) {
	if j.Groups == nil {
		return
	}
	var begun, unlike []*job
	for _, t := range slices.Clone(st.byJob[j]) {
		if t.slo.Groups == nil {
			continue
		}
		before := t.groups
		t.groups = map[string]*followed{}
		slos, leftOut := groupsOf(t.slo, j)
		for _, s := range slos {
			id := s.ID()
			if g := before[id]; g != nil {
				t.groups[id] = g
				delete(before, id)
				if g.job.hasOtherMethod(j) && !slices.Contains(unlike, g.job) {
					unlike = append(unlike, g.job)
				}
				continue
			}
			g, fresh := st.add(s)
			if fresh {
				begun = append(begun, g.job)
			} else if g.job.record != nil && g.job.err == nil {
				st.evaluateAll(g.job, g.job.record.Timeline.End())
			}
		}
		for id, g := range before {
			if st.leave(g); j.healthy() && !j.record.HasGroup(t.slo, g.slo.Group) {
				st.retired[id] = j.record.Timeline.End()
			}
		}
		st.setLeftOut(t, leftOut)
	}
	if len(begun) > 0 {
		st.readHistory(ctx, begun)
	}
	st.rereadWhole(ctx, unlike, rereadOptions{sums: true})
}

// healthy reports whether the backend shows all that it has, up to now.
func (j *job) healthy() bool {
	return j.err == nil && !j.newestOnly && j.lane.stale == nil && j.record.Silent(j.record.Timeline.End()) == nil
}

// retiredIDs returns the groups that were retired in the last hour and did not come
// back.
func (st *state) retiredIDs() []string {
	maps.DeleteFunc(st.retired, func(id string, at timeline.Minute) bool { return st.end-at > retiredFor || st.followed[id] != nil })
	return slices.Sorted(maps.Keys(st.retired))
}

// hasOtherMethod reports whether a group still counts single series, though its whole
// has too many of them.
func (j *job) hasOtherMethod(whole *job) bool {
	return j.complete() && !j.rereading && len(j.record.Inputs) == len(whole.record.Inputs) &&
		j.record.Inputs[0].Method == evaluator.MethodRaw && whole.record.Inputs[0].Method == evaluator.MethodAggregated
}

// leave stops following an SLO.
func (st *state) leave(t *followed) {
	j := t.job
	delete(st.followed, t.slo.ID())
	st.byJob[j] = slices.DeleteFunc(st.byJob[j], func(o *followed) bool { return o == t })
	if len(st.byJob[j]) == 0 {
		j.stop()
		delete(st.byJob, j)
		delete(st.jobs, j.Key)
	}
}

// setLeftOut sets how many groups of an SLO are left out, and logs the first time.
func (st *state) setLeftOut(t *followed, leftOut int) {
	if leftOut > 0 && t.leftOut == 0 {
		st.Log.Warn("An SLO has more groups than its limit, some are left out",
			"slo_id", t.slo.ID(), "limit", t.slo.Groups.Limit, "left_out", leftOut)
	}
	t.leftOut = leftOut
	t.status.Groups = t.groupsStatus()
}

// groupsStatus returns the status of an SLO's groups; nil if it is not split.
func (t *followed) groupsStatus() *evaluator.GroupsStatus {
	if t.slo.Groups == nil {
		return nil
	}
	return &evaluator.GroupsStatus{By: t.slo.Groups.By, Count: len(t.groups), LeftOut: t.leftOut}
}

// leftOutProblems returns the findings about groups that are left out.
func leftOutProblems(tracks map[string]*followed) []evaluator.Problem {
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
