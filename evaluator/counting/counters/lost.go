package counters

import (
	"maps"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
)

// A sum that lost a part may get it back: a recorded sum leaps when a target that was
// down is scraped again. The part was counted before. So it counts nothing, and is
// ambiguous, because it may also be new.

// lostPart is a part that left counters at one scrape. It is remembered for a day.
type lostPart struct {
	at       int64              // when it left
	bySeries map[uint64]float64 // amount by series
	leaps    uint8              // how often less than half of it came back
}

func (l *lostPart) total() float64 {
	sum := 0.0
	for _, v := range l.bySeries {
		sum += v
	}
	return sum
}

// mostLost is the largest number of lost parts that are remembered.
const mostLost = 50

// lose remembers the part that counters lost in a fall that was not a restart.
func (p *process) lose(key uint64, f fallen) {
	if f.verdict != reduced || f.value >= f.height {
		return
	}
	i := slices.IndexFunc(p.lost, func(l lostPart) bool { return l.at == f.at })
	if i < 0 {
		if len(p.lost) == mostLost {
			p.lost = slices.Delete(p.lost, 0, 1)
		}
		i, p.lost = len(p.lost), append(p.lost, lostPart{at: f.at, bySeries: map[uint64]float64{}})
	}
	p.lost[i].bySeries[key], p.shrank = f.height-f.value, f.at
}

// above reports whether counters that fell are above their old height by far more than
// they can have counted.
func (p *process) above(together []*seriesCursor, plausible float64) bool {
	more := 0.0
	for _, c := range together {
		if f, ok := p.falls[c.raw.Key]; ok && f.verdict == reduced {
			more += c.now.V - f.height
		}
	}
	return p.shrank != 0 && more > plausible
}

// miss resolves falls as lost parts before their time is over.
func (p *process) miss(together []*seriesCursor, now int64, out *counting.Events) {
	for _, c := range together {
		if f, ok := p.falls[c.raw.Key]; ok && f.verdict == reduced {
			delete(p.falls, c.raw.Key)
			p.lose(c.raw.Key, f)
			out.AddUnproven(f.unproven(c.raw, now))
		}
	}
}

// regain returns the amount that counters get back in an implausible leap, by series. It
// forgets the parts that came back.
func (p *process) regain(together []*seriesCursor, plausible float64, now int64) map[uint64]float64 {
	p.lost = slices.DeleteFunc(p.lost, func(l lostPart) bool { return now-l.at > counting.Memory || len(l.bySeries) == 0 })
	if len(p.lost) == 0 {
		return nil
	}
	leaps := p.leapsOf(together, plausible)
	if leaps == nil {
		return nil
	}
	var back map[uint64]float64
	for {
		i, whole := p.match(leaps, plausible)
		if i < 0 {
			return back
		}
		if back == nil {
			back = map[uint64]float64{}
		}
		l := &p.lost[i]
		for key, v := range l.bySeries {
			v = min(v, leaps[key])
			back[key] += v
			leaps[key] -= v
			l.bySeries[key] -= v
		}
		if !whole && l.total() > counting.Slack {
			l.leaps++
			return back
		}
		// The part may have counted while it was away. The rest is part of another one.
		plausible = max(plausible, counting.Slack+float64(p.growth.Max())*float64(now-l.at)/float64(max(p.gaps.Usual, 1)))
		p.lost = slices.Delete(p.lost, i, i+1)
	}
}

// leapsOf returns the growth of counters by series, or nil if all of it is plausible.
func (p *process) leapsOf(together []*seriesCursor, plausible float64) map[uint64]float64 {
	sum := 0.0
	for _, c := range together {
		sum += max(0, c.now.V-c.state.last.V)
	}
	if sum <= plausible {
		return nil
	}
	leaps := map[uint64]float64{}
	for _, c := range together {
		if last := c.state.last; last.T != 0 && !p.away(last.T) {
			leaps[c.raw.Key] = max(0, c.now.V-last.V)
		}
	}
	return leaps
}

// match finds the part that a leap brings back. That is the largest part that fits into
// the leap, or else the smallest of which half fits. A leap far beyond all plausible
// counts also returns a part, even if less than half of it. A leap in more than two
// scrapes is an outage.
func (p *process) match(leaps map[uint64]float64, plausible float64) (best int, whole bool) {
	best, of := -1, 0.0
	for i := range p.lost {
		l, leap := &p.lost[i], 0.0
		for key := range l.bySeries {
			leap += leaps[key]
		}
		sum := l.total()
		switch {
		case leap <= plausible || p.leaps >= deciding:
		case leap >= sum:
			if !whole || sum > of {
				best, whole, of = i, true, sum
			}
		case whole:
		case leap >= sum/2 || leap > 10*plausible && l.leaps < deciding:
			if best < 0 || sum < of {
				best, of = i, sum
			}
		}
	}
	return best, whole
}

// regained counts a counter whose part came back: the growth beyond that part.
func (p *process) regained(c *seriesCursor, now int64, e evidence, out *counting.Events) float64 {
	last, known := c.state.last, e.regained[c.raw.Key]
	out.AddUnproven(counting.Unproven{Kind: counting.FindBirth, Raw: c.raw, At: now, Since: last.T, Seen: now, Value: e.sum, Rate: p.rate(), Events: known, Doubtful: true, Undecided: known})
	return c.now.V - last.V - known
}

// paced returns the growth of a scrape from which plausible counts are estimated. It
// ignores the growth of parts that were away. A single leap may be a part that came back.
func (p *process) paced(grown float64, now int64, e evidence) float64 {
	if e.regained != nil {
		p.leaps++
		return min(grown, e.plausible/10)
	}
	outage := p.leaps >= deciding
	p.leaps = 0
	if outage || p.shrank == 0 || now-p.shrank > counting.Memory {
		return grown
	}
	return min(grown, e.plausible/5)
}

// forget removes a series from the falls and the lost parts.
func (p *process) forget(key uint64) {
	delete(p.falls, key)
	for i := range p.lost {
		delete(p.lost[i].bySeries, key)
	}
}

func cloneLost(all []lostPart) []lostPart {
	all = slices.Clone(all)
	for i := range all {
		all[i].bySeries = maps.Clone(all[i].bySeries)
	}
	return all
}
