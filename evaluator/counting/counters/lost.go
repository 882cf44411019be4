package counters

import (
	"maps"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// A sum that lost a part may get it back: a recorded sum leaps when a target that was down
// is scraped again. What comes back was counted before, so that it counts nothing, and is
// ambiguous: it may be new.

// lost is a part that went from counters at one scrape, for a day.
type lost struct {
	at    int64              // when it went
	of    map[uint64]float64 // how much, by series
	leaps uint8              // how often less than half of it came back
}

func (l *lost) sum() float64 {
	sum := 0.0
	for _, v := range l.of {
		sum += v
	}
	return sum
}

// mostLost is how many of the newest lost parts are known.
const mostLost = 50

// lose notes of a fall that proved to be no restart how much went.
func (p *process) lose(key uint64, f fallen) {
	if f.verdict != reduced || f.value >= f.height {
		return
	}
	i := slices.IndexFunc(p.lost, func(l lost) bool { return l.at == f.at })
	if i < 0 {
		if len(p.lost) == mostLost {
			p.lost = slices.Delete(p.lost, 0, 1)
		}
		i, p.lost = len(p.lost), append(p.lost, lost{at: f.at, of: map[uint64]float64{}})
	}
	p.lost[i].of[key], p.shrank = f.height-f.value, f.at
}

// above reports whether counters that fell are above their old height by far more than
// they can have counted.
func (p *process) above(together []*cursor, plausible float64) bool {
	more := 0.0
	for _, c := range together {
		if f, ok := p.falls[c.raw.Key]; ok && f.verdict == reduced {
			more += timeline.Rounded(c.samples[0].V) - f.height
		}
	}
	return p.shrank != 0 && more > plausible
}

// miss takes what fell for lost before it is decided.
func (p *process) miss(together []*cursor, now int64, out *counting.Events) {
	for _, c := range together {
		if f, ok := p.falls[c.raw.Key]; ok && f.verdict == reduced {
			delete(p.falls, c.raw.Key)
			p.lose(c.raw.Key, f)
			out.AddUnproven(f.claim(c.raw, now))
		}
	}
}

// regain finds how much counters get back that leap by far more than they can have
// counted, by series, and forgets it.
func (p *process) regain(together []*cursor, plausible float64, now int64) map[uint64]float64 {
	p.lost = slices.DeleteFunc(p.lost, func(l lost) bool { return now-l.at > counting.Memory || len(l.of) == 0 })
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
		for key, v := range l.of {
			v = min(v, leaps[key])
			back[key], leaps[key], l.of[key] = back[key]+v, leaps[key]-v, l.of[key]-v
		}
		if !whole && l.sum() > counting.Slack {
			l.leaps++
			return back
		}
		// The part may have gone on meanwhile. What is more is of another one.
		plausible = max(plausible, counting.Slack+float64(p.growth.Max())*float64(now-l.at)/float64(max(p.gaps.Usual, 1)))
		p.lost = slices.Delete(p.lost, i, i+1)
	}
}

// leapsOf is how much counters grow by, by series; nil where all of it is plausible.
func (p *process) leapsOf(together []*cursor, plausible float64) map[uint64]float64 {
	sum := 0.0
	for _, c := range together {
		sum += max(0, timeline.Rounded(c.samples[0].V)-c.series.last.V)
	}
	if sum <= plausible {
		return nil
	}
	leaps := map[uint64]float64{}
	for _, c := range together {
		if last := c.series.last; last.T != 0 && !p.away(last.T) {
			leaps[c.raw.Key] = max(0, timeline.Rounded(c.samples[0].V)-last.V)
		}
	}
	return leaps
}

// match finds the part that comes back by a leap: of those that it holds whole the largest,
// else of those that it holds half of the smallest. What is beyond all that was counted is
// of some part, though less of it. What leaps for longer than two scrapes is an outage.
func (p *process) match(leaps map[uint64]float64, plausible float64) (best int, whole bool) {
	best, of := -1, 0.0
	for i := range p.lost {
		l, leap := &p.lost[i], 0.0
		for key := range l.of {
			leap += leaps[key]
		}
		sum := l.sum()
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

// regained is what a counter counts whose part came back: what it grew by beyond that.
func (p *process) regained(c *cursor, now int64, e evidence, out *counting.Events) float64 {
	last, known := c.series.last, e.regained[c.raw.Key]
	out.AddUnproven(counting.Unproven{Kind: counting.FindBirth, Raw: c.raw, At: now, Since: last.T, Seen: now, Value: e.sum, Rate: p.rate(), Events: known, Doubtful: true, Undecided: known})
	return timeline.Rounded(c.samples[0].V) - last.V - known
}

// paced is what a scrape says of how much is plausible, of all that it counted. What a part
// counted while it was away says nothing; what leaps once may be a part.
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

// forgetLost drops what is known of a series.
func (p *process) forgetLost(key uint64) {
	for i := range p.lost {
		delete(p.lost[i].of, key)
	}
}

func cloneLost(all []lost) []lost {
	all = slices.Clone(all)
	for i := range all {
		all[i].of = maps.Clone(all[i].of)
	}
	return all
}
