package evaluator

import (
	"fmt"
	"math"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo/humanize"
)

// An indicator may count more bad or good events than events, if its total leaves some
// out. A difference between two counters at one moment is no such excess. It evens out:
// within a scrape if one is read before the other, or within hours if events are counted
// when they start and judged when they end.

// Excess is a time with more bad or good events than events.
type Excess struct {
	since, until timeline.Minute
	part, total  float64 // in (since, until]
}

const (
	// leastUnit is how much later events may be judged than counted if there are events
	// all the time, in minutes. Four scrapes may be longer.
	leastUnit = timeline.Minute(5)
	// slowUnit is the same if there are not.
	slowUnit = timeline.Minute(24 * 60)
	// steadyTime is the time before, in minutes, in which each unit must have events to
	// count as events all the time.
	steadyTime = timeline.Minute(60)
	// leastExcess is the least number of events of an excess, and leastLasting that of
	// one that lasts.
	leastExcess, leastLasting = 10, 3
	// excessShare is the least share of the events of an excess that lasts.
	excessShare = 0.01
)

// Exceeds reports whether so many events are an excess over a total.
func Exceeds(events, total float64) bool {
	return events >= leastExcess && events-total > excessShare*total
}

// balance contains the events up to the boundaries of equal units.
type balance struct {
	from, unit  timeline.Minute
	part, total []float64
}

// balanceOf returns the balance of a timeline from about one instant to another, for the
// bad events or for the good ones.
func balanceOf(t *timeline.Timeline, from, to, unit timeline.Minute, good bool) balance {
	n := max(int((to-max(from, t.Start()))/unit), 0)
	b := balance{from: to - unit*timeline.Minute(n), unit: unit, part: make([]float64, n+1), total: make([]float64, n+1)}
	l := timeline.Cursor{Timeline: t}
	_, first := t.At(b.from)
	for i := range b.part {
		_, sum := l.At(b.at(i))
		sum = sum.Minus(first)
		b.total[i], b.part[i] = sum.Total.Events(), sum.Bad.Events()
		if good {
			b.part[i] = sum.Total.Minus(sum.Bad).Events()
		}
	}
	return b
}

// at returns the start of a unit.
func (b balance) at(i int) timeline.Minute { return b.from + b.unit*timeline.Minute(i) }

// exceeds reports whether the bad or good events of two units are more than the events of
// these and the unit before, although each earlier unit had events. Events judged later
// can't be as many.
func (b balance) exceeds(i int) bool {
	steady := int(max(steadyTime/b.unit, 6))
	if i < 3+steady {
		return false
	}
	part, total := b.part[i]-b.part[i-2], b.total[i]-b.total[i-3]
	if part-total < leastExcess+0.05*total {
		return false
	}
	for j := i - 3 - steady; j < i-3; j++ {
		if b.total[j+1] <= b.total[j] {
			return false
		}
	}
	return true
}

// runs returns the excesses in order. An excess lasts while each next unit has one.
func (b balance) runs() []Excess {
	var out []Excess
	for i := range b.part {
		if !b.exceeds(i) {
			continue
		}
		from := i - 2
		for b.part[from+1]-b.part[from] <= b.total[from+1]-b.total[from] {
			from++
		}
		if n := len(out); n > 0 && b.at(from) <= out[n-1].until {
			from = int((out[n-1].since - b.from) / b.unit)
			out = out[:n-1]
		}
		out = append(out, b.excess(from, i))
	}
	return out
}

func (b balance) excess(from, to int) Excess {
	return Excess{b.at(from), b.at(to), b.part[to] - b.part[from], b.total[to] - b.total[from]}
}

// lasting returns the excess at the end of a balance, beyond the events of its first day
// that may be judged later. It returns nil if that is too small.
func (b balance) lasting() *Excess {
	last := len(b.part) - 1
	if last < 1 {
		return nil
	}
	highest, since := math.Inf(-1), 0
	for i := range last {
		ahead := b.part[i] - b.total[i]
		if ahead > highest && b.at(i) <= b.from+slowUnit {
			highest = ahead
		}
		if ahead <= highest { // at its start it is as high as that for the last time
			since = i
		}
	}
	if total := b.total[last] - b.total[0]; b.part[last]-b.total[last]-highest <= max(excessShare*total, leastLasting) {
		return nil
	}
	found := b.excess(since, last)
	return &found
}

// ExcessOf returns the excess of the bad or good events of a timeline at an instant: one
// that lasts, one of bad events in the hour before, or those that are a share of a
// window. It returns nil if there is none.
func ExcessOf(t *timeline.Timeline, start, at, scrape timeline.Minute, good bool) *Excess {
	unit := max(leastUnit, 4*scrape)
	slow := max(timeline.Quarter, unit+(timeline.Quarter-unit%timeline.Quarter)%timeline.Quarter)
	begin := min(start, at-2*slowUnit)
	whole, floor := t.Sum(begin, at), at-at%timeline.Quarter
	if good && -whole.Bad > leastLasting || !good && whole.Bad-whole.Total > leastLasting {
		if lasts := balanceOf(t, begin, floor, slow, good).lasting(); lasts != nil {
			lasts.begin(t, slow, good)
			return lasts
		}
	}
	if good {
		return nil
	}
	var found *Excess
	if now := balanceOf(t, at-max(60, 2*unit)-3*unit-max(steadyTime, 6*unit), at, unit, good).runs(); len(now) > 0 {
		found = &now[len(now)-1]
		found.begin(t, unit, good)
	}
	own := t.Sum(start, floor)
	if found == nil && own.Bad <= max(excessShare*own.Total, leastExcess) {
		return nil
	}
	runs := balanceOf(t, start, floor, slow, good).runs()
	for i := range runs {
		runs[i].begin(t, slow, good)
	}
	return mergeExcesses(runs, found, own.Total)
}

// mergeExcesses returns one excess for those of a window, from the first on, if they are
// a share of its events. If the last one continues until now, it returns that.
func mergeExcesses(runs []Excess, now *Excess, total float64) *Excess {
	if len(runs) == 0 {
		return now
	}
	last := runs[len(runs)-1]
	all := Excess{runs[0].since, last.until, 0, 0}
	for _, r := range runs {
		all.part, all.total = all.part+r.part, all.total+r.total
	}
	switch {
	case all.part-all.total > excessShare*total:
		return &all
	case now != nil && last.until >= now.since:
		return &last
	}
	return now
}

// begin moves the start of an excess to its first slot. It moves it by at most a unit,
// and only if slots are single.
func (x *Excess) begin(t *timeline.Timeline, unit timeline.Minute, good bool) {
	more := func(end timeline.Minute) bool {
		slot := t.Sum(end-1, end)
		if good {
			return slot.Bad < 0
		}
		return slot.Bad > slot.Total
	}
	least, most := x.since-unit, min(x.since+unit, x.until)
	for x.since < most && !more(x.since+1) {
		x.since++
	}
	for x.since > least && more(x.since) {
		x.since--
	}
	sum := t.Sum(x.since, x.until)
	x.part, x.total = sum.Bad, sum.Total
	if good {
		x.part = sum.Total - sum.Bad
	}
}

// Doubt returns the doubt about an excess of good events, or of bad ones.
func (x *Excess) Doubt(good bool) *Doubt {
	code, kind := DoubtBadExceedsTotal, "bad"
	if good {
		code, kind = DoubtGoodExceedsTotal, "good"
	}
	return &Doubt{Code: code, Since: new(x.since.Time()), Message: fmt.Sprintf("%s %s events and %s events in all were counted from %s to %s: the total leaves some out",
		humanize.Precise(x.part), kind, humanize.Precise(x.total), humanize.Minute(x.since.Time()), humanize.Minute(x.until.Time()))}
}
