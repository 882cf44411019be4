package evaluator

import (
	"fmt"
	"maps"
	"slices"
)

// Less is no news. A backend of many parts answers without a part that is down, and
// says nothing of it. So a book that was read again never makes less known: where it
// has no samples and the old one had some, the old slots stay, until the backend
// has samples there again.

// keepOld takes from the old book of a ledger what a new one lacks, and notes where
// that is. It reports false when the newest samples are among that: counting can't go
// on from the new book then.
func keepOld(next, old *book) bool {
	next.kept = clipped(next.kept, next.timeline.Start(), next.settled)
	if !sameMethods(next.parts, old.parts) {
		return true // another way to count may know other slots
	}
	coarse, fine := next.plan.cells()
	c := comparison{old: looker{timeline: old.timeline}, next: looker{timeline: next.timeline}, absent: next.absences(), coarse: coarse, fine: fine}
	to := min(next.settled, old.settled) - next.patience()
	lost, open := c.lost(max(next.timeline.Start(), old.timeline.Start()), to)
	if open {
		old.kept = joinedSpans(append(old.kept, lost...))
		return false
	}
	if len(lost) > 0 {
		next.timeline = merged(next.timeline, old.timeline, lost)
		next.undecided = next.undecided.in(lost, false).with(old.undecided.in(lost, true))
		next.kept = joinedSpans(append(next.kept, lost...))
	}
	next.record.keepOld(old.record, to)
	for key, g := range old.groups {
		if _, has := next.groups[key]; !has && next.groups != nil {
			next.groups[key] = g // until it is retired
		}
	}
	return true
}

// patience is for how many slots before the newest a book may wait for the sample that
// makes them known.
func (k *book) patience() Minute {
	longest := int64(0)
	for i := range k.parts {
		if k.parts[i].accounts != nil {
			longest = max(longest, k.parts[i].accounts.interval())
		}
	}
	return Minute((2*longest+longest/10)/60_000) + 1
}

func sameMethods(a, b []part) bool {
	return slices.EqualFunc(a, b, func(x, y part) bool { return x.method == y.method })
}

// cells are the smallest times that are told apart among folded slots and among
// others: of slices one holds nothing without the rest.
func (l *plan) cells() (coarse, fine Minute) {
	if l.slice == nil {
		return quarter, 1
	}
	fine = minutes(l.slice.Length.Duration())
	for coarse = fine; coarse%quarter != 0; {
		coarse += fine
	}
	return coarse, fine
}

// comparison looks for what a timeline lacks of an older one.
type comparison struct {
	old, next    looker
	absent       []period // slots of next that are known to be absent, and have no samples
	coarse, fine Minute
}

// lost are the times of (from, to] of which next knows less than the old timeline.
// The first slot after such a time is among them: it holds what was counted over
// the gap. open reports whether the last of them has no such slot.
func (c *comparison) lost(from, to Minute) (lost []period, open bool) {
	single := max(c.old.timeline.fineFrom, c.next.timeline.fineFrom)
	for from < to {
		size := c.fine
		if from < single {
			size = c.coarse
		}
		end := from - from%size + size
		if end > to {
			break // a slice that is not over
		}
		was, is := c.sum(&c.old, from, end), c.sum(&c.next, from, end)
		lacks := is.Known-c.absentIn(from, end) < was.Known
		if was != is && (lacks || open && is.Known == was.Known) {
			lost = append(lost, period{from, end})
		}
		open = lacks && (open || was != is)
		from = end
	}
	return joinedSpans(lost), open
}

func (c *comparison) sum(l *looker, from, to Minute) Sum {
	from, a := l.at(from)
	to, b := l.at(to)
	return sumOf(from, to, &a, &b)
}

// absentIn counts the slots of (from, to] that are absent.
func (c *comparison) absentIn(from, to Minute) int {
	n := Minute(0)
	for _, p := range c.absent {
		n += max(0, min(to, p.end)-max(from, p.start))
	}
	return int(n)
}

// merged is a timeline in which the slots of some times are those of an older one.
func merged(next, old *Timeline, times []period) *Timeline {
	next.Fold(next.Start(), old.fineFrom)
	out := &Timeline{coarseFrom: next.coarseFrom, fineFrom: next.fineFrom}
	out.fine.falls = next.falls() || old.falls()
	n, o := looker{timeline: next}, looker{timeline: old}
	at, sum := next.Start(), running{}
	step := func(to Minute) {
		from := &n
		if len(times) > 0 && at >= times[0].start {
			from = &o
		}
		_, a := from.at(at)
		_, b := from.at(to)
		sum = sum.plus(b.minus(a))
		if at = to; len(times) > 0 && at >= times[0].end {
			times = times[1:]
		}
	}
	for at < next.fineFrom {
		out.coarse.push(sum)
		step(at + quarter)
	}
	out.fine.push(sum)
	for at < next.End() {
		step(at + 1)
		out.fine.push(sum)
	}
	return out
}

// joinedSpans are times in order, those that touch or overlap as one.
func joinedSpans(all []period) []period {
	slices.SortFunc(all, func(a, b period) int { return int(a.start - b.start) })
	var out []period
	for _, p := range all {
		if last := len(out) - 1; last >= 0 && p.start <= out[last].end {
			out[last].end = max(out[last].end, p.end)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// clipped are the parts of times in (from, to].
func clipped(all []period, from, to Minute) []period {
	var out []period
	for _, p := range all {
		if p = (period{max(p.start, from), min(p.end, to)}); p.start < p.end {
			out = append(out, p)
		}
	}
	return out
}

// absences are the slots that a book counts as bad for want of samples.
func (k *book) absences() []period {
	if k.record == nil {
		return nil
	}
	return joinedSpans(slices.Clone(k.record.absent))
}

// keepOld takes recorded slots of (.., to] from an old record where a meter has none
// in the new one.
func (r *record) keepOld(old *record, to Minute) {
	if r == nil || old == nil {
		return
	}
	r.seen = max(r.seen, min(old.seen, r.from))
	from := max(r.from, old.from)
	open := map[int]bool{} // meters that lacked the slot before
	for m := from; m < min(r.end(), old.end(), to); m++ {
		is, was := r.slots[m-r.from], old.slots[m-old.from]
		for i := range is {
			lacks := !is[i].Known && was[i].Known
			if lacks || open[i] && was[i].Known {
				is[i] = was[i]
			}
			open[i] = lacks
		}
	}
}

// keptDoubt is the doubt about slots that stay though the backend has them no more.
func (t *track) keptDoubt(end Minute) *Doubt {
	start, slots := ownStart(t.slo.Window, end), Minute(0)
	kept := clipped(t.job.book.kept, start, end)
	if len(kept) == 0 {
		return nil
	}
	for _, p := range kept {
		slots += p.end - p.start
	}
	since := kept[len(kept)-1].end.Time()
	return &Doubt{Code: DoubtPartlyKnown, ofBackend: true, Since: &since, Message: fmt.Sprintf(
		"the backend has no samples any more of %d minutes between %s and %s; what was counted there stays, and the backend is asked again each hour",
		slots, kept[0].start.Time().Format(minuteFormat), since.Format(minuteFormat))}
}

// minuteFormat is how messages write instants.
const minuteFormat = "2006-01-02 15:04 MST"

// noteKept logs when a backend begins to answer less than it did, and when it has all
// again.
func (e *Evaluator) noteKept(b *lane) {
	n := 0
	for l := range maps.Keys(e.byJob) {
		if l.lane == b && l.book != nil && len(l.book.kept) > 0 {
			n++
		}
	}
	switch {
	case n > 0 && !b.keeps:
		e.Log.Warn("Backend has no samples any more of what was counted, which stays", "backend", b.Name, "counted", n)
	case n == 0 && b.keeps:
		e.Log.Info("Backend has samples of all again that was counted", "backend", b.Name)
	}
	b.keeps = n > 0
}
