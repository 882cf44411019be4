package evaluator

import (
	"cmp"
	"slices"
)

// surplus is what was counted in a slot beyond what increase() counts there, and why
// that is right is known: births, and falls.
type surplus struct {
	slot Minute
	by   [3]float64 // of good, bad and total
	// young is what counters grew first. increase() may take as much for what they
	// counted before their first sample and after their last.
	young [3]float64
}

// surpluses are such in the order of time.
type surpluses []surplus

func (a *surpluses) add(slot Minute, raw *rawSeries, events float64) {
	if events != 0 {
		raw.share(events, &a.at(slot).by)
	}
}

// extrapolate notes what a counter grew first.
func (a *surpluses) extrapolate(slot Minute, raw *rawSeries, events float64) {
	if events > 0 {
		raw.share(events, &a.at(slot).young)
	}
}

// at is the surplus of a slot.
func (a *surpluses) at(slot Minute) *surplus {
	if i := len(*a) - 1; i < 0 || (*a)[i].slot != slot {
		*a = append(*a, surplus{slot: slot})
	}
	return &(*a)[len(*a)-1]
}

// share adds events of a series to those of its roles.
func (s *rawSeries) share(events float64, by *[3]float64) {
	for r, each := range allRoles {
		switch {
		case s.roles&each == 0:
		case s.weights != nil:
			by[r] += events * s.weights[r]
		default:
			by[r] += events
		}
	}
}

// with are surpluses together with more of them, one for each slot.
func (a surpluses) with(more surpluses) surpluses {
	if len(more) == 0 {
		return a
	}
	all := slices.Concat(a, more)
	slices.SortStableFunc(all, func(x, y surplus) int { return cmp.Compare(x.slot, y.slot) })
	out := all[:1]
	for _, x := range all[1:] {
		last := &out[len(out)-1]
		if last.slot != x.slot {
			out = append(out, x)
			continue
		}
		for r := range x.by {
			last.by[r] += x.by[r]
			last.young[r] += x.young[r]
		}
	}
	return out
}

// after are those of slots that end after an instant.
func (a surpluses) after(at Minute) surpluses {
	i, _ := slices.BinarySearchFunc(a, at+1, func(x surplus, end Minute) int { return cmp.Compare(x.slot, end) })
	if i == 0 {
		return a
	}
	return slices.Clone(a[i:])
}

// sum adds up the surpluses of (from, to].
func (a surpluses) sum(from, to Minute) (sum surplus) {
	for _, x := range a {
		if x.slot <= from || x.slot > to {
			continue
		}
		for r := range x.by {
			sum.by[r] += x.by[r]
			sum.young[r] += x.young[r]
		}
	}
	return sum
}

// explained is what a sample counts beyond what increase() counts by it, as far as
// there is a reason: the first sample of a series, one that is lower than the last,
// and, where it is excused, one that comes soon after such a fall.
func explained(last sample, v, delta float64, excused bool) float64 {
	switch {
	case last.t == 0:
		return delta
	case v < last.v:
		return delta - v
	case excused:
		return delta - (v - last.v)
	}
	return max(delta-(v-last.v), 0)
}
