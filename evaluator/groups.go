package evaluator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/slo"
)

// An SLO that is split by labels is followed as a whole, and so is each of its
// groups, which are SLOs of their own. Which groups there are is seen in what is
// read for the whole.

// retireAfter is for how long a group may be without samples, while others have
// some, before it is followed no more; longer where its absence counts.
const retireAfter = 24 * time.Hour

// retiredFor is for how long a report names a group that was retired, in minutes:
// longer than whoever reads reports needs to see one.
const retiredFor = 60

// group is a group of an SLO, as its samples show it.
type group struct {
	values []string // of the labels that the SLO is split by
	newest int64    // time of the newest sample, in milliseconds
}

// meet notes the groups that a reading shows. What lacks one of the labels is in
// no group.
func (k *book) meet(batches [][]rawSeries) {
	if k.plan.groups == nil {
		return
	}
	if k.groups == nil {
		k.groups = map[string]group{}
	}
	newest := int64(0)
	for i := range batches[0] {
		s := &batches[0][i]
		if len(s.samples) == 0 || s.roles&k.plan.meters[0].clock() == 0 {
			continue
		}
		values := make([]string, len(k.plan.groups.By))
		for j, name := range k.plan.groups.By {
			values[j] = s.labels.Get(name)
		}
		last := s.samples[len(s.samples)-1].t
		newest = max(newest, last)
		key := groupKey(values)
		if g, known := k.groups[key]; known && g.newest >= last || slices.Contains(values, "") {
			continue
		}
		k.groups[key] = group{values, last}
	}
	gone := max(Minute(0).Add(retireAfter), k.plan.meters[0].absence)
	if k.plan.absentBad {
		gone = max(gone, minutes(slo.Remembrance))
	}
	maps.DeleteFunc(k.groups, func(_ string, g group) bool { return g.newest < newest-gone.millis() })
}

// groupsOf are the groups of an SLO, as SLOs, in the order of their values, and
// how many more there are than the limit.
func groupsOf(s *slo.SLO, l *job) (out []*slo.SLO, leftOut int) {
	if s.Groups == nil || l == nil || l.book == nil {
		return nil, 0
	}
	keys := slices.Sorted(maps.Keys(l.book.groups))
	limit := min(len(keys), s.Groups.Limit)
	for _, key := range keys[:limit] {
		group := map[string]string{}
		for i, name := range s.Groups.By {
			group[name] = l.book.groups[key].values[i]
		}
		out = append(out, s.Of(group))
	}
	return out, len(keys) - limit
}

// regroup follows the groups that appeared and leaves those that vanished, of the
// SLOs of a ledger.
func (e *Evaluator) regroup(ctx context.Context, l *job) {
	if l.groups == nil {
		return
	}
	var begun, unlike []*job
	for _, t := range slices.Clone(e.byJob[l]) {
		if t.slo.Groups == nil {
			continue
		}
		before := t.groups
		t.groups = map[string]*track{}
		slos, leftOut := groupsOf(t.slo, l)
		for _, s := range slos {
			id := s.ID()
			if g := before[id]; g != nil {
				t.groups[id] = g
				delete(before, id)
				if g.job.unlike(l) && !slices.Contains(unlike, g.job) {
					g.job.book.outgrown = true
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
			if e.leave(g); l.healthy() && !l.book.has(t.slo, g.slo.Group) {
				e.retired[id] = l.book.timeline.End()
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
	return l.err == nil && !l.preview && l.lane.stale == nil && l.book.silent(l.book.timeline.End()) == nil
}

// groupKey tells groups of an SLO apart, by the values of its labels.
func groupKey(values []string) string { return strings.Join(values, "\xff") }

// has reports whether a group of an SLO has data still, beyond the limit or not.
func (k *book) has(s *slo.SLO, labels map[string]string) bool {
	values := make([]string, len(s.Groups.By))
	for i, name := range s.Groups.By {
		values[i] = labels[name]
	}
	_, has := k.groups[groupKey(values)]
	return has
}

// retiredIDs are the groups that were retired in the last hour and did not come
// back.
func (e *Evaluator) retiredIDs() []string {
	maps.DeleteFunc(e.retired, func(id string, at Minute) bool { return e.end-at > retiredFor || e.tracks[id] != nil })
	return slices.Sorted(maps.Keys(e.retired))
}

// unlike reports whether a group's ledger still counts single series of a whole
// that has too many of them.
func (l *job) unlike(whole *job) bool {
	return l.book != nil && !l.preview && !l.rereading && len(l.book.parts) == len(whole.book.parts) &&
		l.book.parts[0].method == MethodRaw && whole.book.parts[0].method == MethodAggregated
}

// follow begins to follow an SLO. It reports whether the ledger is new.
func (e *Evaluator) follow(s *slo.SLO) (t *track, fresh bool) {
	fresh = e.jobs[e.keyOf(s)] == nil
	t, l := e.newTrack(s)
	e.tracks[s.ID()] = t
	e.byJob[l] = append(e.byJob[l], t)
	if l.book != nil && l.err == nil {
		e.evaluateAll(l, l.book.timeline.End())
	}
	return t, fresh
}

// leave follows an SLO no more.
func (e *Evaluator) leave(t *track) {
	l := t.job
	delete(e.tracks, t.slo.ID())
	e.byJob[l] = slices.DeleteFunc(e.byJob[l], func(o *track) bool { return o == t })
	if len(e.byJob[l]) == 0 {
		l.stop()
		delete(e.byJob, l)
		delete(e.jobs, l.key)
	}
}

// tell notes how many groups of an SLO are left out.
func (e *Evaluator) tell(t *track, leftOut int) {
	if leftOut > 0 && t.leftOut == 0 {
		e.Log.Warn("An SLO has more groups than its limit, some are left out",
			"slo_id", t.slo.ID(), "limit", t.slo.Groups.Limit, "left_out", leftOut)
	}
	t.leftOut = leftOut
	t.status.Groups = t.groupsStatus()
}

// groupsStatus is what is known of an SLO's groups, nil where it has none.
func (t *track) groupsStatus() *GroupsStatus {
	if t.slo.Groups == nil {
		return nil
	}
	return &GroupsStatus{By: t.slo.Groups.By, Count: len(t.groups), LeftOut: t.leftOut}
}

// leftOut are the findings about groups that are left out.
func leftOut(tracks map[string]*track) []Problem {
	var out []Problem
	for _, id := range slices.Sorted(maps.Keys(tracks)) {
		t := tracks[id]
		if t.leftOut > 0 {
			o := t.slo.Origin
			out = append(out, Problem{
				Source: o.Source, File: o.File, Line: o.Line, Column: o.Column, Severity: "warning",
				Message: fmt.Sprintf("%s has %d groups more than its limit of %d; those are not followed one by one",
					id, t.leftOut, t.slo.Groups.Limit),
				Hint: "raise groups.limit, or split by fewer labels",
			})
		}
	}
	return out
}
