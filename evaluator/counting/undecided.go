package counting

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// UndecidedSlot contains the events of a slot that may have happened but that no evidence
// decides. They are not counted.
type UndecidedSlot struct {
	Slot       timeline.Minute // end of the slot; of an old one, end of the quarter of an hour
	Kind       FindingKind
	Counters   int
	Total, Bad float64
}

// Undecided contains undecided events in the order of time.
type Undecided []UndecidedSlot

// add adds the undecided events of an unproven count.
func (u *Undecided) add(c Unproven) {
	l := UndecidedSlot{Slot: timeline.SlotEnd(c.At), Kind: c.Kind, Counters: 1}
	if c.Raw.Roles&(RoleTotal|RoleGood) != 0 {
		l.Total = c.Undecided
	}
	if c.Raw.Roles&RoleBad != 0 {
		l.Bad = c.Undecided
	}
	u.merge(l)
}

// merge adds events to those of the same slot and kind.
func (u *Undecided) merge(l UndecidedSlot) {
	all := *u
	at := len(all)
	for at > 0 && all[at-1].Slot > l.Slot {
		at--
	}
	for i := at - 1; i >= 0 && all[i].Slot == l.Slot; i-- {
		if all[i].Kind == l.Kind {
			all[i].Counters += l.Counters
			all[i].Total += l.Total
			all[i].Bad += l.Bad
			return
		}
	}
	*u = slices.Insert(all, at, l)
}

// Plus returns the undecided events and later ones.
func (u Undecided) Plus(more Undecided) Undecided {
	out := slices.Clone(u)
	for _, l := range more {
		out.merge(l)
	}
	return out
}

// Until returns the undecided events up to an instant.
func (u Undecided) Until(end timeline.Minute) Undecided {
	return slices.DeleteFunc(slices.Clone(u), func(l UndecidedSlot) bool { return l.Slot > end })
}

// Filter returns the undecided events inside some times, or outside of them.
func (u Undecided) Filter(times []timeline.Period, inside bool) Undecided {
	return slices.DeleteFunc(slices.Clone(u), func(l UndecidedSlot) bool {
		return inside != slices.ContainsFunc(times, func(p timeline.Period) bool { return l.Slot > p.Start && l.Slot <= p.End })
	})
}

// Fold merges the events of a kind before at by quarters of an hour, and removes those
// before start.
func (u *Undecided) Fold(start, at timeline.Minute) {
	at -= at % timeline.Quarter
	if len(*u) == 0 || (*u)[0].Slot > start && ((*u)[0].Slot > at || (*u)[0].Slot%timeline.Quarter == 0 && len(*u) == 1) {
		return
	}
	var out Undecided
	for _, l := range *u {
		if l.Slot <= at {
			l.Slot += (timeline.Quarter - l.Slot%timeline.Quarter) % timeline.Quarter
		}
		if l.Slot > start {
			out.merge(l)
		}
	}
	*u = out
}

// Sum adds up the undecided events of a window without excluded slots. It also returns
// the first of them.
func (u Undecided) Sum(t *timeline.Timeline, from, to timeline.Minute) (sum, first UndecidedSlot) {
	for _, l := range u {
		if l.Slot <= from || l.Slot > to || t.Sum(l.Slot-1, l.Slot).Excluded > 0 {
			continue
		}
		if sum.Counters == 0 {
			first = l
		}
		sum.Counters += l.Counters
		sum.Total += l.Total
		sum.Bad += l.Bad
	}
	return sum, first
}

// toleratedShare is the share of events that may stay undecided without a warning.
const toleratedShare = 0.01

// Share returns how many events of how many are undecided, for all events or for the bad
// ones, whichever share is larger. It also returns whether that is more than
// toleratedShare.
func (l UndecidedSlot) Share(sum timeline.Sum) (n, of float64, tooMuch bool) {
	n, of = l.Total, sum.Total+l.Total
	if bad := max(sum.Bad, 0) + l.Bad; l.Bad*of > n*bad {
		n, of = l.Bad, bad
	}
	return n, of, n > toleratedShare*of
}
