package evaluator

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// An indicator may count more bad or good events than events: when its total leaves
// some out. What two counters say at different moments is no such excess. It evens
// out: within a scrape where one is read before the other, within hours where
// events are counted as they start and judged as they end.

// excess is more of some events than of all events.
type excess struct {
	since, until Minute
	part, total  float64 // in (since, until]
}

const (
	// leastUnit is how much later events may be judged than counted where events go
	// on all the time, in minutes; or four scrapes, if that is longer.
	leastUnit = Minute(5)
	// evensOut is the same where they do not.
	evensOut = Minute(24 * 60)
	// steadily is for how long before there must be events in each unit to say that they
	// go on, in minutes.
	steadily = Minute(60)
	// leastExcess is how many events an excess has at least, and leastLasting one that
	// lasts.
	leastExcess, leastLasting = 10, 3
	// excessShare is the share of the events that a lasting excess has at least.
	excessShare = 0.01
)

// balance is what was counted up to the boundaries of equal units.
type balance struct {
	from, unit  Minute
	part, total []float64
}

// balanceOf is the balance of a timeline from about one instant to another, of the
// bad events or of the good ones.
func balanceOf(t *Timeline, from, to, unit Minute, good bool) balance {
	n := max(int((to-max(from, t.Start()))/unit), 0)
	b := balance{from: to - unit*Minute(n), unit: unit, part: make([]float64, n+1), total: make([]float64, n+1)}
	l := looker{timeline: t}
	_, first := t.at(b.from)
	for i := range b.part {
		_, sum := l.at(b.at(i))
		sum = sum.minus(first)
		b.total[i], b.part[i] = sum.total.events(), sum.bad.events()
		if good {
			b.part[i] = sum.total.minus(sum.bad).events()
		}
	}
	return b
}

// at is where a unit begins.
func (b balance) at(i int) Minute { return b.from + b.unit*Minute(i) }

// exceeds reports whether parts are more than the events of two units and of the one
// before them, though there were events in each unit before these: what was in the
// making there can't be as much.
func (b balance) exceeds(i int) bool {
	steady := int(max(steadily/b.unit, 6))
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

// runs are the excesses in order, of which each lasts as long as there is another in
// each next unit.
func (b balance) runs() []excess {
	var out []excess
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

func (b balance) excess(from, to int) excess {
	return excess{b.at(from), b.at(to), b.part[to] - b.part[from], b.total[to] - b.total[from]}
}

// lasting is the excess at the end of a balance beyond all that was in the making in
// its first day, nil when there is none to speak of.
func (b balance) lasting() *excess {
	last := len(b.part) - 1
	if last < 1 {
		return nil
	}
	highest, since := math.Inf(-1), 0
	for i := range last {
		ahead := b.part[i] - b.total[i]
		if ahead > highest && b.at(i) <= b.from+evensOut {
			highest = ahead
		}
		if ahead <= highest { // where it begins it is as high as that for the last time
			since = i
		}
	}
	if total := b.total[last] - b.total[0]; b.part[last]-b.total[last]-highest <= max(excessShare*total, leastLasting) {
		return nil
	}
	found := b.excess(since, last)
	return &found
}

// excessOf is the excess of the bad events of a timeline, or of the good ones, at an
// instant: one that lasts, one of bad events in the hour before, or those that are a
// share of a window. nil is none.
func excessOf(t *Timeline, start, at, scrape Minute, good bool) *excess {
	unit := max(leastUnit, 4*scrape)
	slow := max(quarter, unit+(quarter-unit%quarter)%quarter)
	begin := min(start, at-2*evensOut)
	whole, floor := t.Sum(begin, at), at-at%quarter
	if good && -whole.Bad > leastLasting || !good && whole.Bad-whole.Total > leastLasting {
		if lasts := balanceOf(t, begin, floor, slow, good).lasting(); lasts != nil {
			lasts.begin(t, slow, good)
			return lasts
		}
	}
	if good {
		return nil
	}
	var found *excess
	if now := balanceOf(t, at-max(60, 2*unit)-3*unit-max(steadily, 6*unit), at, unit, good).runs(); len(now) > 0 {
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
	return together(runs, found, own.Total)
}

// together makes the excesses of a window one, from the first on: if they are a share
// of its events, or the last goes on in the one of now.
func together(runs []excess, now *excess, total float64) *excess {
	if len(runs) == 0 {
		return now
	}
	last := runs[len(runs)-1]
	all := excess{runs[0].since, last.until, 0, 0}
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

// begin moves the beginning of an excess to the slot with which it begins, as far as
// slots are kept singly: within a unit of where it was found.
func (x *excess) begin(t *Timeline, unit Minute, good bool) {
	more := func(end Minute) bool {
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

// doubt makes a doubt of an excess.
func (x *excess) doubt(code DoubtCode, kind string) Doubt {
	since := x.since.Time()
	return Doubt{Code: code, Since: &since, Message: fmt.Sprintf("%s %s events and %s events in all were counted from %s to %s: the total leaves some out",
		plainCount(x.part), kind, plainCount(x.total), clockText(x.since), clockText(x.until))}
}

// plainCount is a number of events for people, to three decimals.
func plainCount(events float64) string {
	return strconv.FormatFloat(math.Round(events*1000)/1000, 'f', -1, 64)
}

// clockText is an instant for people.
func clockText(at Minute) string { return at.Time().Format("2006-01-02 15:04 MST") }

// seldom is the usual time between two samples of a book, in minutes, where that is
// longer than between scrapes; else 0.
func (k *book) seldom() Minute {
	if m := k.scrapeOf(); m > minutes(maxScrape*time.Millisecond) {
		return m
	}
	return 0
}

// scrapeOf is the longest usual time between two samples of a book, in minutes,
// rounded up.
func (k *book) scrapeOf() Minute {
	longest := int64(0)
	for i := range k.parts {
		longest = max(longest, k.parts[i].accounts.interval())
	}
	return minutes(time.Duration(longest) * time.Millisecond)
}
