package evaluator

import (
	"math"
	"slices"
	"time"
)

// Minute is an instant on the grid of slots: the end of a slot, and the start
// of the next, in minutes since the epoch.
type Minute int64

// MinuteOf is the last Minute at or before t.
func MinuteOf(t time.Time) Minute {
	s := t.Unix()
	if s < 0 {
		s -= 59
	}
	return Minute(s / 60)
}

// Time is the instant as time in UTC.
func (m Minute) Time() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Add is the instant d later; d is whole minutes.
func (m Minute) Add(d time.Duration) Minute { return m + Minute(d/time.Minute) }

const (
	// quarter is the grid of old slots. Fifteen minutes divide the offset of
	// every time zone.
	quarter = 15
	// fineAge is the age beyond which slots are folded into quarters.
	fineAge = 3 * 24 * 60
	// grain is the smallest part of an event that is counted. It makes every
	// sum of slots exact in any order, and so the same in every process: a
	// float64 holds 2^43 events in steps of 2^-10.
	grain = 1.0 / 1024
)

// Slot is one minute of events.
type Slot struct {
	Total, Bad float64
	Known      bool
}

// running are counts summed up from the beginning of a timeline.
type running struct {
	total, bad float64
	known      int32
}

// Timeline holds the events of one SLO per slot. It keeps sums up to the slots'
// boundaries, so that the sum over any window is one subtraction, and folding
// old slots is forgetting boundaries.
type Timeline struct {
	coarseFrom Minute    // boundary of coarse[0], on the quarter grid
	coarse     []running // at coarseFrom, coarseFrom+15m, ...
	fineFrom   Minute
	fine       []running // at fineFrom, fineFrom+1m, ...; never empty
}

// NewTimeline makes an empty timeline that begins at the quarter of an hour at
// or before start.
func NewTimeline(start Minute) *Timeline {
	start -= start % quarter
	return &Timeline{coarseFrom: start, fineFrom: start, fine: make([]running, 1, 256)}
}

// Start is where the timeline begins.
func (t *Timeline) Start() Minute { return t.coarseFrom }

// End is the end of its last slot.
func (t *Timeline) End() Minute { return t.fineFrom + Minute(len(t.fine)) - 1 }

// Append adds the slot after End.
func (t *Timeline) Append(s Slot) {
	r := t.fine[len(t.fine)-1]
	r.total += rounded(s.Total)
	r.bad += rounded(s.Bad)
	if s.Known {
		r.known++
	}
	t.fine = append(t.fine, r)
}

func rounded(events float64) float64 {
	return math.Round(events/grain) * grain
}

// Truncate forgets the slots behind end. Only slots that are not folded can go.
func (t *Timeline) Truncate(end Minute) {
	if end < t.End() {
		t.fine = t.fine[:max(1, int(end-t.fineFrom)+1)]
	}
}

// MarkKnown makes the slots of (from, to] known that are not folded.
func (t *Timeline) MarkKnown(from, to Minute) {
	from, to = max(from, t.fineFrom), min(to, t.End())
	if from >= to {
		return
	}
	added := int32(0)
	before := t.fine[from-t.fineFrom].known
	for m := from + 1; m <= t.End(); m++ {
		r := &t.fine[m-t.fineFrom]
		wasKnown := r.known > before
		before = r.known
		if m <= to && !wasKnown {
			added++
		}
		r.known += added
	}
}

// Fold keeps of the boundaries before at those on the quarter grid, and none
// before start.
func (t *Timeline) Fold(start, at Minute) {
	at = min(at-at%quarter, t.End())
	folded := 0
	for ; t.fineFrom+quarter <= at; t.fineFrom += quarter {
		t.coarse = append(t.coarse, t.fine[folded])
		folded += quarter
	}
	t.fine = t.fine[folded:]
	if folded > len(t.fine) { // much was folded at once: free it
		t.fine = slices.Clone(t.fine)
	}
	if drop := int(start-t.coarseFrom) / quarter; drop > 0 {
		drop = min(drop, len(t.coarse))
		t.coarse = t.coarse[drop:]
		t.coarseFrom += Minute(drop) * quarter
	}
}

// Sum is what happened in a window of a timeline.
type Sum struct {
	Start, End Minute // the real edges, on the grid of their age
	Total, Bad float64
	Known      int // slots
}

// Coverage is the share of the slots that are known, from 0 to 1.
func (s Sum) Coverage() float64 {
	if s.End <= s.Start {
		return 0
	}
	return float64(s.Known) / float64(s.End-s.Start)
}

// Complete reports whether each slot is known.
func (s Sum) Complete() bool { return s.Known == int(s.End-s.Start) }

// Sum adds up the slots of (from, to]. An edge among folded slots moves back
// to the quarter of an hour. What lies before or behind the timeline is unknown.
func (t *Timeline) Sum(from, to Minute) Sum {
	from, a := t.at(from)
	to, b := t.at(to)
	return Sum{Start: from, End: to, Total: b.total - a.total, Bad: b.bad - a.bad, Known: int(b.known - a.known)}
}

// at is the sum up to m, or up to the boundary before it.
func (t *Timeline) at(m Minute) (Minute, running) {
	if m >= t.fineFrom {
		return m, t.fine[min(m, t.End())-t.fineFrom]
	}
	m -= m % quarter
	if m <= t.coarseFrom || len(t.coarse) == 0 {
		first := t.fine[0]
		if len(t.coarse) > 0 {
			first = t.coarse[0]
		}
		return m, first
	}
	return m, t.coarse[(m-t.coarseFrom)/quarter]
}
