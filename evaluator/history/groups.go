package history

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
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
