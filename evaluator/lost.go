package evaluator

// A sum that lost a part may get it back: a recorded sum leaps when a target that was down
// is scraped again. What comes back was counted before, so that it counts nothing, and is
// ambiguous: it may be new.

// lose notes of a fall that proved to be no restart how much went, for a day.
func (p *process) lose(key uint64, f fallen) {
	if f.verdict != reduced || f.value >= f.height {
		return
	}
	if p.lost == nil {
		p.lost = map[uint64]sample{}
	}
	before := p.lost[key]
	if f.at-before.t > memory {
		before.v = 0
	}
	p.lost[key] = sample{f.at, before.v + f.height - f.value}
}

// returns reports whether counters leap by far more than they can have counted, and by half
// of what went from them at least. Such a leap is that of a part that comes back.
func (p *process) returns(together []*cursor, plausible float64, now int64) bool {
	if len(p.lost) == 0 {
		return false
	}
	leap, lost := 0.0, 0.0
	for _, c := range together {
		if l, ok := p.lost[c.raw.key]; ok && now-l.t <= memory && !p.away(c.series.last.t) {
			leap, lost = leap+rounded(c.samples[0].v)-c.series.last.v, lost+l.v
		}
	}
	return leap > plausible && leap >= lost/2
}

// regained is what a counter counts whose part came back: what it grew by beyond that.
func (p *process) regained(c *cursor, now int64, e evidence, out *tally) float64 {
	last, grown := c.series.last, rounded(c.samples[0].v)-c.series.last.v
	lost := p.lost[c.raw.key]
	known := min(lost.v, grown)
	if lost.v -= known; lost.v > slack {
		p.lost[c.raw.key] = lost
	} else {
		delete(p.lost, c.raw.key)
	}
	if known > 0 {
		out.claim(claim{kind: FindBirth, raw: c.raw, at: now, since: last.t, seen: now, value: e.sum, rate: p.rate(), events: known, doubt: true, undecided: known})
	}
	return grown - known
}
