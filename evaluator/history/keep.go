package history

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Less is no news. A backend of many parts answers without a part that is down, and
// says nothing of it. So a book that was read again never makes less known: where it
// has no samples and the old one had some, the old slots stay, until the backend
// has samples there again.

// KeepOld takes from the old book of a ledger what a new one lacks, and notes where
// that is. It reports false when the newest samples are among that: counting can't go
// on from the new book then.
func KeepOld(next, old *Record) bool {
	next.Kept = timeline.ClipPeriods(next.Kept, next.Timeline.Start(), next.Settled)
	if !sameMethods(next.Inputs, old.Inputs) {
		return true // another way to count may know other slots
	}
	coarse, fine := next.Plan.Cells()
	c := timeline.Comparison{Old: timeline.Cursor{Timeline: old.Timeline}, Next: timeline.Cursor{Timeline: next.Timeline}, Absent: next.absences(), Coarse: coarse, Fine: fine}
	to := min(next.Settled, old.Settled) - next.patience()
	lost, open := c.LostPeriods(max(next.Timeline.Start(), old.Timeline.Start()), to)
	if open {
		old.Kept = timeline.JoinPeriods(append(old.Kept, lost...))
		return false
	}
	if len(lost) > 0 {
		next.Timeline = timeline.Merge(next.Timeline, old.Timeline, lost)
		next.Undecided = next.Undecided.Filter(lost, false).Plus(old.Undecided.Filter(lost, true))
		next.Kept = timeline.JoinPeriods(append(next.Kept, lost...))
	}
	next.Recent.keepOld(old.Recent, to)
	for key, g := range old.Groups {
		if _, has := next.Groups[key]; !has && next.Groups != nil {
			next.Groups[key] = g // until it is retired
		}
	}
	return true
}

// patience is for how many slots before the newest a book may wait for the sample that
// makes them known.
func (k *Record) patience() timeline.Minute {
	longest := int64(0)
	for i := range k.Inputs {
		if k.Inputs[i].Counting != nil {
			longest = max(longest, k.Inputs[i].Counting.Interval())
		}
	}
	return timeline.Minute((2*longest+longest/10)/60_000) + 1
}

func sameMethods(a, b []InputState) bool {
	return slices.EqualFunc(a, b, func(x, y InputState) bool { return x.Method == y.Method })
}

// absences are the slots that a book counts as bad for want of samples.
func (k *Record) absences() []timeline.Period {
	if k.Recent == nil {
		return nil
	}
	return timeline.JoinPeriods(slices.Clone(k.Recent.absent))
}

// keepOld takes recorded slots of (.., to] from an old record where a meter has none
// in the new one.
func (r *recentSlots) keepOld(old *recentSlots, to timeline.Minute) {
	if r == nil || old == nil {
		return
	}
	r.seen = max(r.seen, min(old.seen, r.from))
	from := max(r.from, old.from)
	open := map[int]bool{} // meters that lacked the slot before
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
