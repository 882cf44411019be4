package timeline

// Period is a time (start, end] on the grid.
type Period struct{ Start, End Minute }

// wellKnown is the share of slots that must be known to use them for a projection.
const wellKnown = 0.9

// MostlyKnown reports whether enough of the slots are known. Excluded slots don't count.
func (s Sum) MostlyKnown() bool { return float64(s.Known) >= wellKnown*float64(s.Slots()) }
