package history

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Missing data is no evidence. A backend of many parts answers without a part that is
// down, and does not report it. So a reread never makes slots unknown. If the new Record
// has no samples where the old one had some, the old slots stay, until the backend has
// samples there again.

// KeepOld copies slots from an old Record that a new one lacks, and stores their times in
// Kept. It reports false if the newest samples are missing, because counting can't
// continue from the new Record then.
func KeepOld(next, old *Record) bool {
	next.Kept = timeline.ClipPeriods(next.Kept, next.Timeline.Start(), next.Settled)
	if !sameMethods(next.Inputs, old.Inputs) {
		return true // another method may know other slots
	}
	coarse, fine := next.Plan.Cells()
	c := timeline.Comparison{Old: old.Timeline, Next: next.Timeline, Absent: next.absences(), Coarse: coarse, Fine: fine}
	to := min(next.Settled, old.Settled) - next.patience()
	missing, open := c.LostPeriods(max(next.Timeline.Start(), old.Timeline.Start()), to)
	if open {
		old.Kept = timeline.JoinPeriods(append(old.Kept, missing...))
		return false
	}
	if len(missing) > 0 {
		next.Timeline = timeline.Merge(next.Timeline, old.Timeline, missing)
		next.Undecided = next.Undecided.Filter(missing, false).Plus(old.Undecided.Filter(missing, true))
		next.Kept = timeline.JoinPeriods(append(next.Kept, missing...))
	}
	next.Recent.keepOld(old.Recent, to)
	for key, g := range old.Groups {
		if _, has := next.Groups[key]; !has && next.Groups != nil {
			next.Groups[key] = g // until it is retired
		}
	}
	return true
}

// patience returns how many slots before the newest may wait for the sample that makes
// them known.
func (r *Record) patience() timeline.Minute {
	return timeline.Minute(timeline.TwoIntervals(r.interval())/60_000) + 1
}

func sameMethods(a, b []InputState) bool {
	return slices.EqualFunc(a, b, func(x, y InputState) bool { return x.Method == y.Method })
}

// absences returns the slots that count as bad because they have no samples.
func (r *Record) absences() []timeline.Period {
	if r.Recent == nil {
		return nil
	}
	return timeline.JoinPeriods(slices.Clone(r.Recent.absent))
}

// keepOld copies slots up to an instant from old ones, for each input that lacks them in
// the new ones.
func (r *recentSlots) keepOld(old *recentSlots, to timeline.Minute) {
	if r == nil || old == nil {
		return
	}
	r.seen = max(r.seen, min(old.seen, r.from))
	from := max(r.from, old.from)
	open := map[int]bool{} // inputs that lacked the slot before
	for m := from; m < min(r.end(), old.end(), to); m++ {
		is, was := r.slots[m-r.from], old.slots[m-old.from]
		for i := range is {
			lacks := !is[i].Known && was[i].Known
			if lacks || open[i] && was[i].Known {
				is[i] = was[i]
			}
			open[i] = lacks
		}
	}
}
