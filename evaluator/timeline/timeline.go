// Package timeline holds the events of an SLO minute by minute: all events, bad events,
// and whether the minute is known. It returns exact sums over any window in little time.
// Slots older than three days are kept as quarters of an hour. The package only computes:
// it imports SLOs, and nothing that reads.
package timeline

import "time"

// TwoIntervals returns the time of two scrapes, plus a tenth for the jitter of scraping.
func TwoIntervals(usual int64) int64 { return usual*2 + usual/10 }

// Minute is an instant on the grid of slots, in minutes since the epoch: the end of a
// slot, and the start of the next.
type Minute int64

// MinuteOf returns the last Minute at or before t.
func MinuteOf(t time.Time) Minute {
	s := t.Unix()
	if s < 0 {
		s -= 59
	}
	return Minute(s / 60)
}

// Time returns the instant in UTC.
func (m Minute) Time() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Add returns the instant d later. d must be whole minutes.
func (m Minute) Add(d time.Duration) Minute { return m + Minute(d/time.Minute) }

const (
	// Quarter is the length of a folded slot, in minutes. Fifteen minutes divide the
	// offset of every time zone.
	Quarter = 15
	// FineAge is the age in minutes from which slots are folded into quarters.
	FineAge = 3 * 24 * 60
)

// Slot contains the events of one minute.
type Slot struct {
	Total, Bad float64
	Known      bool
}

// Timeline contains the events of one SLO per slot. It stores sums up to the boundaries
// of slots. So the sum over any window is one subtraction, and folding old slots only
// removes boundaries.
type Timeline struct {
	coarseFrom Minute // the first boundary in coarse, on the quarter grid
	coarse     sums   // at coarseFrom, coarseFrom+15m, ...
	FineFrom   Minute
	fine       sums   // at FineFrom, FineFrom+1m, ...; never empty
	mask       *mask  // the excluded events of a view; nil for a timeline that counts all
	seldom     Minute // the usual time between two samples if that is long, else 0
}

// SetSampleInterval stores the usual time between two samples, if that is long, else 0.
func (t *Timeline) SetSampleInterval(interval Minute) { t.seldom = interval }

// NewTimeline returns an empty timeline that begins at the quarter of an hour at or
// before start.
func NewTimeline(start Minute) *Timeline {
	start -= start % Quarter
	t := &Timeline{coarseFrom: start, FineFrom: start}
	t.fine.push(Running{})
	return t
}

// Start returns the start of the first slot.
func (t *Timeline) Start() Minute { return t.coarseFrom }

// End returns the end of the last slot.
func (t *Timeline) End() Minute { return t.FineFrom + Minute(t.fine.len()) - 1 }

// Falls reports whether a sum may be less than one that ends earlier.
func (t *Timeline) Falls() bool { return t.coarse.falls || t.fine.falls }

// Append adds the slot after End.
func (t *Timeline) Append(s Slot) {
	r := t.fine.last
	r.Total = r.Total.plus(grainsOf(s.Total))
	r.Bad = r.Bad.plus(grainsOf(s.Bad))
	if s.Known {
		r.Known++
	}
	t.fine.push(r)
}

// Truncate removes the slots after end. It can't remove folded slots.
func (t *Timeline) Truncate(end Minute) {
	if end < t.End() {
		t.fine.truncate(max(1, int(end-t.FineFrom)+1))
	}
}

// MarkKnown marks the slots of (from, to] as known. Folded slots stay as they are.
func (t *Timeline) MarkKnown(from, to Minute) {
	from, to = max(from, t.FineFrom), min(to, t.End())
	if from >= to {
		return
	}
	slots := t.Slots(from)
	t.Truncate(from)
	for i, s := range slots {
		t.Append(Slot{Total: s.Total, Bad: s.Bad, Known: s.Known > 0 || from+Minute(i) < to})
	}
}

// Slots returns the sums of the single slots after an instant.
func (t *Timeline) Slots(from Minute) []Sum {
	var out []Sum
	for m := from; m < t.End(); m++ {
		out = append(out, t.Sum(m, m+1))
	}
	return out
}

// Fold keeps only the boundaries on the quarter grid before at, and none before start.
func (t *Timeline) Fold(start, at Minute) {
	at = min(at-at%Quarter, t.End())
	for ; t.FineFrom+Quarter <= at; t.FineFrom += Quarter {
		t.coarse.push(t.fine.at(0))
		t.fine.drop(Quarter)
	}
	if drop := int(start-t.coarseFrom) / Quarter; drop > 0 {
		drop = min(drop, t.coarse.len())
		t.coarse.drop(drop)
		t.coarseFrom += Minute(drop) * Quarter
	}
}

// Sum contains the events of a window of a timeline.
type Sum struct {
	Start, End Minute // the real edges, on the grid of their age
	Total, Bad float64
	Known      int  // slots, without the excluded ones
	Excluded   int  // slots; their events are not counted
	Few        bool // the window has too few samples for a burn rate
}

// Events returns the events of the window: at least as many as the bad ones.
func (s Sum) Events() float64 { return max(s.Total, s.Bad) }

// Coverage returns the share of the slots that are known, from 0 to 1. Excluded slots
// don't count. It returns 0 if all slots are excluded.
func (s Sum) Coverage() float64 {
	if s.Known == 0 {
		return 0
	}
	return float64(s.Known) / float64(s.Slots())
}

// Slots returns the number of slots that are not excluded.
func (s Sum) Slots() int { return int(s.End-s.Start) - s.Excluded }

// Complete reports whether each slot that is not excluded is known.
func (s Sum) Complete() bool { return s.Known == s.Slots() }

// MinSamples is the number of samples that a window needs for a burn rate if they come
// seldom.
const MinSamples = 4

// MinWindow returns the shortest window with a burn rate: the time of four samples if
// they come seldom, else 0.
func (t *Timeline) MinWindow() time.Duration { return time.Duration(MinSamples*t.seldom) * time.Minute }

// Refutes reports whether the events of a window are certain to be all: each slot is
// known. If samples come seldom, it ignores the slots after the last sample.
func (t *Timeline) Refutes(s Sum) bool {
	return s.Complete() || t.seldom != 0 && t.Sum(s.Start, max(s.Start, s.End-Minute(TwoIntervals(int64(t.seldom))))).Complete()
}

// Sum adds up the slots of (from, to]. An edge among folded slots moves back to the
// quarter of an hour. Time before or after the timeline is unknown.
func (t *Timeline) Sum(from, to Minute) Sum {
	from, a := t.At(from)
	to, b := t.At(to)
	sum := SumOf(from, to, &a, &b)
	sum.Few = to-from < MinSamples*t.seldom
	return sum
}

// SumOf returns the sum of (from, to], given the running sums at both.
func SumOf(from, to Minute, a, b *Running) Sum {
	return Sum{Start: from, End: to, Total: b.Total.Minus(a.Total).Events(), Bad: b.Bad.Minus(a.Bad).Events(), Known: int(b.Known - a.Known), Excluded: int(b.excluded - a.excluded)}
}

// Window adds up the slots of the last d before end. If d is longer than FineAge, the
// window starts on the quarter of an hour, whether or not its slots are folded. So a
// process that reads history returns the same numbers as one that was running then.
func (t *Timeline) Window(d time.Duration, end Minute) Sum { return t.Sum(WindowStart(d, end), end) }

// WindowStart returns the start of the window of length d that ends at an instant.
func WindowStart(d time.Duration, end Minute) Minute {
	start := end.Add(-d)
	if end-start > FineAge {
		start -= start % Quarter
	}
	return start
}

// At returns the sum up to m, or up to the boundary before m.
func (t *Timeline) At(m Minute) (at Minute, sum Running) {
	at, s, i := t.boundary(m)
	if r := s.atHand(i); r != nil {
		sum = *r
	} else {
		sum, _ = s.find(i)
	}
	if t.mask != nil {
		sum = t.mask.subtract(t, at, sum)
	}
	return at, sum
}

// boundary returns the boundary at or before m, the sums that contain it, and its index
// there.
func (t *Timeline) boundary(m Minute) (Minute, *sums, int) {
	if m >= t.FineFrom {
		return m, &t.fine, int(min(m, t.End()) - t.FineFrom)
	}
	if t.coarse.len() == 0 { // nothing is folded
		return m, &t.fine, 0
	}
	m -= m % Quarter
	return m, &t.coarse, int(max(0, m-t.coarseFrom) / Quarter)
}

// seen returns the sum up to m without the events that a view excludes.
func (t *Timeline) seen(m Minute, counted Running) Running {
	if t.mask == nil {
		return counted
	}
	return t.mask.subtract(t, m, counted)
}

// Cursor finds the sums of a timeline that does not change. It is quick if each instant
// is a little later than the last.
type Cursor struct {
	Timeline     *Timeline
	coarse, fine place
}

// At returns the same as Timeline.At.
func (c *Cursor) At(m Minute) (Minute, Running) {
	m, s, i := c.Timeline.boundary(m)
	p := &c.fine
	if s == &c.Timeline.coarse {
		p = &c.coarse
	}
	return m, c.Timeline.seen(m, s.near(p, i))
}

// Unpacked returns a copy to read only, whose sums after an instant are unpacked. It is
// quicker if many windows are read.
func (t *Timeline) Unpacked(from Minute) *Timeline {
	out := *t
	out.coarse.plain = t.coarse.unpack(int(max(from-t.coarseFrom, 0)) / Quarter)
	out.fine.plain = t.fine.unpack(int(max(from-t.FineFrom, 0)))
	return &out
}

// Clone returns a copy.
func (t *Timeline) Clone() *Timeline {
	out := *t
	out.coarse, out.fine = t.coarse.clone(), t.fine.clone()
	return &out
}

// Millis returns a minute in milliseconds since the epoch, or a length in milliseconds.
func (m Minute) Millis() int64 { return int64(m) * 60_000 }

// SlotEnd returns the end of the slot (start, end] that contains the time.
func SlotEnd(millis int64) Minute { return Minute((millis + 59_999) / 60_000) }

// Minutes returns a length of time in whole minutes, rounded up.
func Minutes(d time.Duration) Minute { return Minute((d + time.Minute - 1) / time.Minute) }

// Period is a time (start, end] on the grid.
type Period struct{ Start, End Minute }
