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

// An SLO that is split by labels is followed as a whole, and so is each of its
// groups, which are SLOs of their own. Which groups there are is seen in what is
// read for the whole.

// retireAfter is for how long a group may be without samples, while others have
// some, before it is followed no more; longer where its absence counts.
const retireAfter = 24 * time.Hour

// group is a group of an SLO, as its samples show it.
type group struct {
	Values []string // of the labels that the SLO is split by
	newest int64    // time of the newest sample, in milliseconds
}

// meet notes the groups that a reading shows. What lacks one of the labels is in
// no group.
func (k *Record) meet(batches [][]counting.RawSeries) {
	if k.Plan.Groups == nil {
		return
	}
	if k.Groups == nil {
		k.Groups = map[string]group{}
	}
	newest := int64(0)
	for i := range batches[0] {
		s := &batches[0][i]
		if len(s.Samples) == 0 || s.Roles&k.Plan.Inputs[0].Clock() == 0 {
			continue
		}
		values := make([]string, len(k.Plan.Groups.By))
		for j, name := range k.Plan.Groups.By {
			values[j] = s.Labels.Get(name)
		}
		last := s.Samples[len(s.Samples)-1].T
		newest = max(newest, last)
		key := groupKey(values)
		if g, known := k.Groups[key]; known && g.newest >= last || slices.Contains(values, "") {
			continue
		}
		k.Groups[key] = group{values, last}
	}
	gone := max(timeline.Minute(0).Add(retireAfter), k.Plan.Inputs[0].Absence)
	if k.Plan.AbsentBad {
		gone = max(gone, timeline.Minutes(slo.Remembrance))
	}
	maps.DeleteFunc(k.Groups, func(_ string, g group) bool { return g.newest < newest-gone.Millis() })
}

// groupKey tells groups of an SLO apart, by the values of its labels.
func groupKey(values []string) string { return strings.Join(values, "\xff") }

// Has reports whether a group of an SLO has data still, beyond the limit or not.
func (k *Record) Has(s *slo.SLO, labels map[string]string) bool {
	values := make([]string, len(s.Groups.By))
	for i, name := range s.Groups.By {
		values[i] = labels[name]
	}
	_, has := k.Groups[groupKey(values)]
	return has
}
