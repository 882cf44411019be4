package timeline

// Period is a calendar period (start, end] on the grid.
type Period struct{ Start, End Minute }

// wellKnown is the share of the slots of a week that must be known to project by
// it.
const wellKnown = 0.9

// MostlyKnown reports whether enough of the slots that count is known.
func (s Sum) MostlyKnown() bool { return float64(s.Known) >= wellKnown*float64(s.Slots()) }
