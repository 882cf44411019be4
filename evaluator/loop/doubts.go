package loop

import (
	"fmt"
	"maps"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// doubtsOf returns the doubts about an SLO's numbers, in the order of DoubtCodes. Each
// follows from the samples alone.
func (t *followed) doubtsOf(v *timeline.Timeline, end timeline.Minute) []evaluator.Doubt {
	out := []evaluator.Doubt{}
	for _, d := range []*evaluator.Doubt{
		t.exceeds(v, end, false), t.exceeds(v, end, true), t.duplicated(), t.impossible(end), t.partlyKnown(v, end), t.estimated(), t.job.auditLog.Doubt(t.job.record),
	} {
		if d != nil {
			out = append(out, *d)
		}
	}
	return out
}

// duplicated returns the doubt about counters that are read twice, once from each
// replica.
func (t *followed) duplicated() *evaluator.Doubt {
	for i := range t.job.record.Inputs {
		if label := t.job.record.Inputs[i].TwinLabel; label != "" {
			return &evaluator.Doubt{Code: evaluator.DoubtDuplicated, Message: fmt.Sprintf(
				"%s has each counter more than once, as replicas see it, which differ in the label %s: all events count as often; write replica_labels: [%s] in the configuration of the backend",
				t.job.Inputs[i].ClockText(), label, label)}
		}
	}
	return nil
}

// exceeds finds an excess in inputs that count bad events, or good ones, and the total.
// Slots that are combined from others don't show it. For these it looks at the recorded
// slots of the last hour.
func (t *followed) exceeds(v *timeline.Timeline, end timeline.Minute, good bool) *evaluator.Doubt {
	j, rec := t.job, t.job.record
	counted := counting.RoleBad | counting.RoleTotal
	if good {
		counted = counting.RoleGood | counting.RoleTotal
	}
	for i, m := range j.Inputs {
		if m.Counted != counted {
			continue
		}
		of, start := v, evaluator.OwnStart(t.slo.Window, end)
		if j.Combine != nil || j.Slice != nil {
			of = rec.Recent.Timeline(i)
			start = of.Start()
		}
		if x := evaluator.ExcessOf(of, start, min(rec.Settled, of.End()), rec.ScrapeInterval(), good); x != nil {
			return x.Doubt(good)
		}
	}
	return nil
}

// wellKnownShare is the known share of a window from which on there is no doubt.
const wellKnownShare = 0.9

// partlyKnown returns the doubt about a number if too little of it is known.
func (t *followed) partlyKnown(v *timeline.Timeline, end timeline.Minute) *evaluator.Doubt {
	for _, d := range []*evaluator.Doubt{t.respelledDoubt(), t.keptDoubt(end), t.goneDoubt(end)} {
		if d != nil {
			return d
		}
	}
	sum := v.Sum(evaluator.OwnStart(t.slo.Window, end), end)
	share := sum.Coverage()
	if share >= wellKnownShare || share == 0 {
		return nil
	}
	return &evaluator.Doubt{Code: evaluator.DoubtPartlyKnown, Message: fmt.Sprintf("%.3g %% of the window is known; the numbers are of that part", 100*share)}
}

// goneDoubt returns the doubt about an SLO whose backend lost a store.
func (t *followed) goneDoubt(end timeline.Minute) *evaluator.Doubt {
	gone, at, is := t.job.lane.Lost(t.job.Selectors, evaluator.OwnStart(t.slo.Window, end), end)
	if !is {
		return nil
	}
	return &evaluator.Doubt{Code: evaluator.DoubtPartlyKnown, Since: &at, Message: gone + ": its samples may be missing"}
}

// estimated returns the doubt about events that are not counted one by one.
func (t *followed) estimated() *evaluator.Doubt {
	j := t.job
	if _, exact := j.record.Method(); exact {
		return nil
	}
	message := "events between the bounds of histogram buckets are interpolated"
	for i := range j.Inputs {
		measure := j.Inputs[i].Indicator.Measure()
		rates, isRate := measure.(slo.Rates)
		recorded, _ := measure.(slo.Increments)
		switch {
		case isRate:
			message = fmt.Sprintf("an expression gives the events at the end of each minute; they are not counted one by one, because %s is not a sum of counters", rates.Obstacle())
		case recorded.PerSecond:
			message = "recorded rates are averages; they count for the time between two samples"
		case j.record.Inputs[i].Method == evaluator.MethodAggregated:
			message = "events are counted in the sums of each target's counters, because there are too many to read each"
		}
	}
	return &evaluator.Doubt{Code: evaluator.DoubtEstimated, Message: message}
}

// logDoubts logs which doubts about an SLO began and ended since the last call. It logs
// none while the history is read.
func (st *state) logDoubts(t *followed) {
	if t.job.newestOnly {
		return
	}
	has := func(all []evaluator.Doubt, code evaluator.DoubtCode) bool {
		return slices.ContainsFunc(all, func(d evaluator.Doubt) bool { return d.Code == code && !d.OfBackend })
	}
	for _, d := range t.status.Doubts {
		if !d.OfBackend && !has(t.loggedDoubts, d.Code) {
			st.Log.Warn("SLO's number is in doubt", "slo_id", t.slo.ID(), "code", string(d.Code), "reason", d.Message)
		}
	}
	for _, d := range t.loggedDoubts {
		if !d.OfBackend && !has(t.status.Doubts, d.Code) {
			st.Log.Info("SLO's number is in doubt no longer", "slo_id", t.slo.ID(), "code", string(d.Code))
		}
	}
	t.loggedDoubts = t.status.Doubts
}

// impossible returns the doubt about a number for which samples of the last day were
// ignored. A process that starts reads as much before its timeline.
func (t *followed) impossible(end timeline.Minute) *evaluator.Doubt {
	if text := t.job.record.Impossible(end); text != "" {
		return &evaluator.Doubt{Code: evaluator.DoubtImpossible, Message: text}
	}
	return nil
}

// ambiguous returns the doubt about an SLO whose counters left more undecided than is
// allowed; nil for none.
func (t *followed) ambiguous(v *timeline.Timeline, end timeline.Minute) *evaluator.Doubt {
	rec := t.job.record
	from := evaluator.OwnStart(t.slo.Window, end)
	left, first := rec.Undecided.Plus(rec.Unsettled).Sum(v, from, end)
	if left.Counters == 0 {
		return nil
	}
	n, of, tooMuch := left.Share(v.Sum(from, end))
	if !tooMuch {
		return nil
	}
	what, since := "events", first.Slot.Time()
	if n != left.Total {
		what = "bad events"
	}
	return &evaluator.Doubt{Code: evaluator.DoubtAmbiguous, Since: &since, Message: fmt.Sprintf(
		"ambiguous: %s %s may have happened that are not counted, beside %s that are: counters began again or lost a part %s, and nothing proves which",
		humanize.Decimal(n), what, humanize.Decimal(of-n), humanize.Times(left.Counters))}
}

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
