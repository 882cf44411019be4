package loop

import (
	"fmt"
	"maps"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// keptDoubt returns the doubt about slots that stay though the backend has lost them.
func (t *followed) keptDoubt(end timeline.Minute) *evaluator.Doubt {
	start, slots := evaluator.OwnStart(t.slo.Window, end), timeline.Minute(0)
	kept := timeline.ClipPeriods(t.job.record.Kept, start, end)
	if len(kept) == 0 {
		return nil
	}
	for _, p := range kept {
		slots += p.End - p.Start
	}
	since := kept[len(kept)-1].End.Time()
	return &evaluator.Doubt{Code: evaluator.DoubtPartlyKnown, OfBackend: true, Since: &since, Message: fmt.Sprintf(
		"the backend has no samples any more of %d minutes between %s and %s; what was counted there stays, and the backend is asked again each hour",
		slots, humanize.Minute(kept[0].Start.Time()), humanize.Minute(since))}
}

// logKept logs when a backend begins to answer less than it did, and when it has all
// again.
func (st *state) logKept(b *lane) {
	n := 0
	for j := range maps.Keys(st.byJob) {
		if j.lane == b && j.record != nil && len(j.record.Kept) > 0 {
			n++
		}
	}
	switch {
	case n > 0 && !b.loggedKept:
		st.Log.Warn("Backend has no samples any more of what was counted, which stays", "backend", b.Name, "counted", n)
	case n == 0 && b.loggedKept:
		st.Log.Info("Backend has samples of all again that was counted", "backend", b.Name)
	}
	b.loggedKept = n > 0
}
