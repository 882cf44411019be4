package timeline

import (
	"slices"
)

// Comparison finds the slots that an older timeline knows and a newer one does not.
type Comparison struct {
	Old, Next    Cursor
	Absent       []Period // slots of Next that are known to be absent, and have no samples
	Coarse, Fine Minute
}

// LostPeriods returns the times of (from, to] of which the newer timeline knows less than
// the old one. It includes the first slot after such a time, because that contains the
// events counted over the gap. open reports that the last time has no such slot yet.
func (c *Comparison) LostPeriods(from, to Minute) (lost []Period, open bool) {
	single := max(c.Old.Timeline.FineFrom, c.Next.Timeline.FineFrom)
	for from < to {
		size := c.Fine
		if from < single {
			size = c.Coarse
		}
		end := from - from%size + size
		if end > to {
			break // a slice that has not ended
		}
		was, is := c.sum(&c.Old, from, end), c.sum(&c.Next, from, end)
		lacks := is.Known-c.absentIn(from, end) < was.Known
		if was != is && (lacks || open && is.Known == was.Known) {
			lost = append(lost, Period{from, end})
		}
		open = lacks && (open || was != is)
		from = end
	}
	return JoinPeriods(lost), open
}

func (c *Comparison) sum(l *Cursor, from, to Minute) Sum {
	from, a := l.At(from)
	to, b := l.At(to)
	return SumOf(from, to, &a, &b)
}

// absentIn counts the absent slots of (from, to].
func (c *Comparison) absentIn(from, to Minute) int {
	n := Minute(0)
	for _, p := range c.Absent {
		n += max(0, min(to, p.End)-max(from, p.Start))
	}
	return int(n)
}

// Merge returns the timeline next, with the slots of some times taken from an older one.
func Merge(next, old *Timeline, times []Period) *Timeline {
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

// JoinPeriods returns the periods in order. Periods that touch or overlap become one.
func JoinPeriods(all []Period) []Period {
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

// ClipPeriods returns the parts of periods in (from, to].
func ClipPeriods(all []Period, from, to Minute) []Period {
	var out []Period
	for _, p := range all {
		if p = (Period{max(p.Start, from), min(p.End, to)}); p.Start < p.End {
			out = append(out, p)
		}
	}
	return out
}
