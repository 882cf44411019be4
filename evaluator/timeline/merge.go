package timeline

import (
	"slices"
)

// Comparison looks for what a timeline lacks of an older one.
type Comparison struct {
	Old, Next    Cursor
	Absent       []Period // slots of next that are known to be absent, and have no samples
	Coarse, Fine Minute
}

// Lost are the times of (from, to] of which next knows less than the old timeline.
// The first slot after such a time is among them: it holds what was counted over
// the gap. open reports whether the last of them has no such slot.
func (c *Comparison) Lost(from, to Minute) (lost []Period, open bool) {
	single := max(c.Old.Timeline.FineFrom, c.Next.Timeline.FineFrom)
	for from < to {
		size := c.Fine
		if from < single {
			size = c.Coarse
		}
		end := from - from%size + size
		if end > to {
			break // a slice that is not over
		}
		was, is := c.sum(&c.Old, from, end), c.sum(&c.Next, from, end)
		lacks := is.Known-c.absentIn(from, end) < was.Known
		if was != is && (lacks || open && is.Known == was.Known) {
			lost = append(lost, Period{from, end})
		}
		open = lacks && (open || was != is)
		from = end
	}
	return JoinedSpans(lost), open
}

func (c *Comparison) sum(l *Cursor, from, to Minute) Sum {
	from, a := l.At(from)
	to, b := l.At(to)
	return SumOf(from, to, &a, &b)
}

// absentIn counts the slots of (from, to] that are absent.
func (c *Comparison) absentIn(from, to Minute) int {
	n := Minute(0)
	for _, p := range c.Absent {
		n += max(0, min(to, p.End)-max(from, p.Start))
	}
	return int(n)
}

// Merged is a timeline in which the slots of some times are those of an older one.
func Merged(next, old *Timeline, times []Period) *Timeline {
	next.Fold(next.Start(), old.FineFrom)
	out := &Timeline{coarseFrom: next.coarseFrom, FineFrom: next.FineFrom}
	out.fine.falls = next.Falls() || old.Falls()
	n, o := Cursor{Timeline: next}, Cursor{Timeline: old}
	at, sum := next.Start(), Running{}
	step := func(to Minute) {
		from := &n
		if len(times) > 0 && at >= times[0].Start {
			from = &o
		}
		_, a := from.At(at)
		_, b := from.At(to)
		sum = sum.plus(b.Minus(a))
		if at = to; len(times) > 0 && at >= times[0].End {
			times = times[1:]
		}
	}
	for at < next.FineFrom {
		out.coarse.push(sum)
		step(at + Quarter)
	}
	out.fine.push(sum)
	for at < next.End() {
		step(at + 1)
		out.fine.push(sum)
	}
	return out
}

// JoinedSpans are times in order, those that touch or overlap as one.
func JoinedSpans(all []Period) []Period {
	slices.SortFunc(all, func(a, b Period) int { return int(a.Start - b.Start) })
	var out []Period
	for _, p := range all {
		if last := len(out) - 1; last >= 0 && p.Start <= out[last].End {
			out[last].End = max(out[last].End, p.End)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// Clipped are the parts of times in (from, to].
func Clipped(all []Period, from, to Minute) []Period {
	var out []Period
	for _, p := range all {
		if p = (Period{max(p.Start, from), min(p.End, to)}); p.Start < p.End {
			out = append(out, p)
		}
	}
	return out
}
