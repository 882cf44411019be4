package counting

import (
	"cmp"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Surplus is what was counted in a slot beyond what increase() counts there, and why
// that is right is known: births, and falls.
type Surplus struct {
	slot timeline.Minute
	By   [3]float64 // of good, bad and total
	// Young is what counters grew first. increase() may take as much for what they
	// counted before their first sample and after their last.
	Young [3]float64
}

// Surpluses are such in the order of time.
type Surpluses []Surplus

// Add notes events of a series that increase() counts elsewhere or not at all.
func (a *Surpluses) Add(slot timeline.Minute, raw *RawSeries, events float64) {
	if events != 0 {
		raw.share(events, &a.at(slot).By)
	}
}

// Extrapolate notes what a counter grew first.
func (a *Surpluses) Extrapolate(slot timeline.Minute, raw *RawSeries, events float64) {
	if events > 0 {
		raw.share(events, &a.at(slot).Young)
	}
}

// at is the surplus of a slot.
func (a *Surpluses) at(slot timeline.Minute) *Surplus {
	if i := len(*a) - 1; i < 0 || (*a)[i].slot != slot {
		*a = append(*a, Surplus{slot: slot})
	}
	return &(*a)[len(*a)-1]
}

// share adds events of a series to those of its roles.
func (s *RawSeries) share(events float64, by *[3]float64) {
	for r, each := range AllRoles {
		switch {
		case s.Roles&each == 0:
		case s.Weights != nil:
			by[r] += events * s.Weights[r]
		default:
			by[r] += events
		}
	}
}

// With are surpluses together with more of them, one for each slot.
func (a Surpluses) With(more Surpluses) Surpluses {
	if len(more) == 0 {
		return a
	}
	all := slices.Concat(a, more)
	slices.SortStableFunc(all, func(x, y Surplus) int { return cmp.Compare(x.slot, y.slot) })
	out := all[:1]
	for _, x := range all[1:] {
		last := &out[len(out)-1]
		if last.slot != x.slot {
			out = append(out, x)
			continue
		}
		for r := range x.By {
			last.By[r] += x.By[r]
			last.Young[r] += x.Young[r]
		}
	}
	return out
}

// After are those of slots that end after an instant.
func (a Surpluses) After(at timeline.Minute) Surpluses {
	i, _ := slices.BinarySearchFunc(a, at+1, func(x Surplus, end timeline.Minute) int { return cmp.Compare(x.slot, end) })
	if i == 0 {
		return a
	}
	return slices.Clone(a[i:])
}

// Sum adds up the surpluses of (from, to].
func (a Surpluses) Sum(from, to timeline.Minute) (sum Surplus) {
	for _, x := range a {
		if x.slot <= from || x.slot > to {
			continue
		}
		for r := range x.By {
			sum.By[r] += x.By[r]
			sum.Young[r] += x.Young[r]
		}
	}
	return sum
}

// Explained is what a sample counts beyond what increase() counts by it, as far as
// there is a reason: the first sample of a series, one that is lower than the last,
// and, where it is excused, one that comes soon after such a fall.
func Explained(last backend.Sample, v, delta float64, excused bool) float64 {
	switch {
	case last.T == 0:
		return delta
	case v < last.V:
		return delta - v
	case excused:
		return delta - (v - last.V)
	}
	return max(delta-(v-last.V), 0)
}
