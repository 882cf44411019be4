package timeline

import (
	"time"
)

// Twice is two scrapes, and a tenth for the jitter of scraping.
func Twice(usual int64) int64 { return usual*2 + usual/10 }

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
	// Quarter is the grid of old slots. Fifteen minutes divide the offset of
	// every time zone.
	Quarter = 15
	// FineAge is the age beyond which slots are folded into quarters.
	FineAge = 3 * 24 * 60
)

// Slot is one minute of events.
type Slot struct {
	Total, Bad float64
	Known      bool
}

// Timeline holds the events of one SLO per slot. It keeps sums up to the slots'
// boundaries, so that the sum over any window is one subtraction, and folding
// old slots is forgetting boundaries.
type Timeline struct {
	coarseFrom Minute // of the first boundary in coarse, on the quarter grid
	coarse     sums   // at coarseFrom, coarseFrom+15m, ...
	FineFrom   Minute
	fine       sums   // at fineFrom, fineFrom+1m, ...; never empty
	mask       *mask  // what a view takes away; nil for what was counted
	Seldom     Minute // the usual time between two samples, where that is long; 0 where it is not
}

// NewTimeline makes an empty timeline that begins at the quarter of an hour at
// or before start.
func NewTimeline(start Minute) *Timeline {
	start -= start % Quarter
	t := &Timeline{coarseFrom: start, FineFrom: start}
	t.fine.push(Running{})
	return t
}

// Start is where the timeline begins.
func (t *Timeline) Start() Minute { return t.coarseFrom }

// End is the end of its last slot.
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

// Truncate forgets the slots behind end. Only slots that are not folded can go.
func (t *Timeline) Truncate(end Minute) {
	if end < t.End() {
		t.fine.truncate(max(1, int(end-t.FineFrom)+1))
	}
}

// MarkKnown makes the slots of (from, to] known that are not folded.
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

// Slots are the sums of the single slots behind an instant.
func (t *Timeline) Slots(from Minute) []Sum {
	var out []Sum
	for m := from; m < t.End(); m++ {
		out = append(out, t.Sum(m, m+1))
	}
	return out
}

// Fold keeps of the boundaries before at those on the quarter grid, and none
// before start.
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

// Sum is what happened in a window of a timeline.
type Sum struct {
	Start, End Minute // the real edges, on the grid of their age
	Total, Bad float64
	Known      int  // slots that count
	Excluded   int  // slots, which hold no events and don't count
	Few        bool // too few samples for a burn rate
}

// Events are the events of the window: at least as many as the bad ones.
func (s Sum) Events() float64 { return max(s.Total, s.Bad) }

// Coverage is the share of the slots that count that are known, from 0 to 1; 0 where
// none counts.
func (s Sum) Coverage() float64 {
	if s.Known == 0 {
		return 0
	}
	return float64(s.Known) / float64(s.Slots())
}

// Slots is how many slots count.
func (s Sum) Slots() int { return int(s.End-s.Start) - s.Excluded }

// Complete reports whether each slot that counts is known.
func (s Sum) Complete() bool { return s.Known == s.Slots() }

// Fewest is how many samples a window must have for a burn rate, where they come
// seldom.
const Fewest = 4

// Least is the shortest window with a burn rate: of four samples where they come
// seldom, else 0.
func (t *Timeline) Least() time.Duration { return time.Duration(Fewest*t.Seldom) * time.Minute }

// Refutes reports whether a window says that what does not show in it is not there:
// each slot is known. Where samples come seldom the slots since the last one are
// left out.
func (t *Timeline) Refutes(s Sum) bool {
	return s.Complete() || t.Seldom != 0 && t.Sum(s.Start, max(s.Start, s.End-Minute(Twice(int64(t.Seldom))))).Complete()
}

// Sum adds up the slots of (from, to]. An edge among folded slots moves back
// to the quarter of an hour. What lies before or behind the timeline is unknown.
func (t *Timeline) Sum(from, to Minute) Sum {
	from, a := t.At(from)
	to, b := t.At(to)
	sum := SumOf(from, to, &a, &b)
	sum.Few = to-from < Fewest*t.Seldom
	return sum
}

// SumOf is the sum of (from, to] by the running sums at both.
func SumOf(from, to Minute, a, b *Running) Sum {
	return Sum{Start: from, End: to, Total: b.Total.Minus(a.Total).Events(), Bad: b.Bad.Minus(a.Bad).Events(), Known: int(b.Known - a.Known), Excluded: int(b.excluded - a.excluded)}
}

// Window adds up the slots of the last d before end. The start of a window that
// is longer than slots are kept singly lies on the quarter of an hour, be it
// folded yet or not: a process that looks back says the same as one that was
// there.
func (t *Timeline) Window(d time.Duration, end Minute) Sum { return t.Sum(WindowStart(d, end), end) }

// WindowStart is where the window of length d that ends at an instant begins.
func WindowStart(d time.Duration, end Minute) Minute {
	start := end.Add(-d)
	if end-start > FineAge {
		start -= start % Quarter
	}
	return start
}

// At is the sum up to m, or up to the boundary before it.
func (t *Timeline) At(m Minute) (at Minute, sum Running) {
	at, s, i := t.boundary(m)
	if r := s.atHand(i); r != nil {
		sum = *r
	} else {
		sum, _ = s.find(i)
	}
	if t.mask != nil {
		sum = t.mask.take(t, at, sum)
	}
	return at, sum
}

// boundary is the boundary at m or before it, and which one it is of which sums.
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

// seen is what a view leaves of all that was counted up to m.
func (t *Timeline) seen(m Minute, counted Running) Running {
	if t.mask == nil {
		return counted
	}
	return t.mask.take(t, m, counted)
}

// Cursor looks up the sums of a timeline that stays as it is, quickly where each
// instant is a little behind the last.
type Cursor struct {
	Timeline     *Timeline
	coarse, fine place
}

// At is Timeline.At.
func (l *Cursor) At(m Minute) (Minute, Running) {
	m, s, i := l.Timeline.boundary(m)
	p := &l.fine
	if s == &l.Timeline.coarse {
		p = &l.coarse
	}
	return m, l.Timeline.seen(m, s.near(p, i))
}

// Unpacked is a copy to read only, in which sums behind an instant are at hand:
// for whoever looks at the windows of many instants.
func (t *Timeline) Unpacked(from Minute) *Timeline {
	out := *t
	out.coarse.plain = t.coarse.unpack(int(max(from-t.coarseFrom, 0)) / Quarter)
	out.fine.plain = t.fine.unpack(int(max(from-t.FineFrom, 0)))
	return &out
}

// Clone is a copy.
func (t *Timeline) Clone() *Timeline {
	out := *t
	out.coarse, out.fine = t.coarse.clone(), t.fine.clone()
	return &out
}

// Differs counts the slots in (from, to] whose events differ between two
// timelines. Where either is folded they are quarters of an hour. What one of
// them does not hold is left out.
func (t *Timeline) Differs(other *Timeline, from, to Minute) int {
	from, to = max(from, t.Start(), other.Start()), min(to, t.End(), other.End())
	single := max(t.FineFrom, other.FineFrom)
	n := 0
	for from < to {
		next := from + 1
		if from < single {
			next = from - from%Quarter + Quarter
		}
		a, b := t.Sum(from, min(next, to)), other.Sum(from, min(next, to))
		if a.Total != b.Total || a.Bad != b.Bad {
			n++
		}
		from = next
	}
	return n
}
