package counting

import (
	"cmp"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Surplus contains the events of a slot that increase() does not count there, for a known
// reason: births and falls.
type Surplus struct {
	slot   timeline.Minute
	ByRole [3]float64 // good, bad and total
	// FirstGrowth is the first growth of counters. increase() may add as much for the
	// time before their first sample and after their last.
	FirstGrowth [3]float64
}

// Surpluses are in the order of time.
type Surpluses []Surplus

// Add adds events of a series that increase() counts elsewhere or not at all.
func (s *Surpluses) Add(slot timeline.Minute, raw *RawSeries, events float64) {
	if events != 0 {
		raw.share(events, &s.at(slot).ByRole)
	}
}

// extrapolate adds the first growth of a counter.
func (s *Surpluses) extrapolate(slot timeline.Minute, raw *RawSeries, events float64) {
	if events > 0 {
		raw.share(events, &s.at(slot).FirstGrowth)
	}
}

// at returns the surplus of a slot, and creates it if needed.
func (s *Surpluses) at(slot timeline.Minute) *Surplus {
	i, found := s.find(slot)
	if !found {
		*s = slices.Insert(*s, i, Surplus{slot: slot})
	}
	return &(*s)[i]
}

func (s Surpluses) find(slot timeline.Minute) (int, bool) {
	return slices.BinarySearchFunc(s, slot, func(x Surplus, slot timeline.Minute) int { return cmp.Compare(x.slot, slot) })
}

// add adds the events of another surplus.
func (s *Surplus) add(more Surplus) {
	for r := range more.ByRole {
		s.ByRole[r] += more.ByRole[r]
		s.FirstGrowth[r] += more.FirstGrowth[r]
	}
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

// Plus returns the surpluses and more of them, merged by slot.
func (s Surpluses) Plus(more Surpluses) Surpluses {
	if len(more) == 0 {
		return s
	}
	out := slices.Clone(s)
	for _, x := range more {
		out.at(x.slot).add(x)
	}
	return out
}

// After returns the surpluses of slots that end after an instant.
func (s Surpluses) After(at timeline.Minute) Surpluses {
	i, _ := s.find(at + 1)
	if i == 0 {
		return s
	}
	return slices.Clone(s[i:])
}

// Sum adds up the surpluses of (from, to].
func (s Surpluses) Sum(from, to timeline.Minute) (sum Surplus) {
	for _, x := range s {
		if x.slot > from && x.slot <= to {
			sum.add(x)
		}
	}
	return sum
}

// surplus returns the events of a sample that increase() does not count, for a known
// reason: it is the first sample of a series, it is lower than the last, or it comes soon
// after such a fall and is excused.
func (i *Increment) surplus() float64 {
	grown := i.Now.V - i.Last.V
	switch {
	case i.Last.T == 0:
		return i.Delta
	case grown < 0:
		return i.Delta - i.Now.V
	case i.Excused:
		return i.Delta - grown
	}
	return max(i.Delta-grown, 0)
}
