package timeline

import (
	"iter"
	"slices"
)

// Comparison compares an older timeline with a newer one, in slots of a size: Fine where
// both have single slots, else Coarse.
type Comparison struct {
	Old, Next    *Timeline
	Absent       []Period // slots of Next that are known to be absent, and have no samples
	Coarse, Fine Minute
}

// slots yields the sums of both timelines in (from, to], without a slot that has not
// ended.
func (c *Comparison) slots(from, to Minute) iter.Seq2[Sum, Sum] {
	return func(yield func(was, is Sum) bool) {
		old, next := Cursor{Timeline: c.Old}, Cursor{Timeline: c.Next}
		for from < to {
			size := c.Fine
			if from < max(c.Old.FineFrom, c.Next.FineFrom) {
				size = c.Coarse
			}
			end := from - from%size + size
			if end > to || !yield(old.sum(from, end), next.sum(from, end)) {
				return
			}
			from = end
		}
	}
}

func (c *Cursor) sum(from, to Minute) Sum {
	from, a := c.At(from)
	to, b := c.At(to)
	return SumOf(from, to, &a, &b)
}

// Differences counts the slots of (from, to] whose events differ. Time that one of the
// timelines does not contain is ignored.
func (c *Comparison) Differences(from, to Minute) int {
	n := 0
	for was, is := range c.slots(max(from, c.Old.Start(), c.Next.Start()), min(to, c.Old.End(), c.Next.End())) {
		if was.Total != is.Total || was.Bad != is.Bad {
			n++
		}
	}
	return n
}

// LostPeriods returns the times of (from, to] of which the newer timeline knows less than
// the old one. It includes the first slot after such a time, because that contains the
// events counted over the gap. open reports that the last time has no such slot yet.
func (c *Comparison) LostPeriods(from, to Minute) (lost []Period, open bool) {
	for was, is := range c.slots(from, to) {
		lacks := is.Known-c.absentIn(was.Start, was.End) < was.Known
		if was != is && (lacks || open && is.Known == was.Known) {
			lost = append(lost, Period{was.Start, was.End})
		}
		open = lacks && (open || was != is)
	}
	return JoinPeriods(lost), open
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
