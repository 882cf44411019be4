package evaluator

import (
	"slices"
)

// process is a set of series that are scraped together, at the same times.
type process struct {
	heir      bool  // its target had other series before
	last      int64 // time of the last scrape; 0 before the first
	size      int   // series in the last scrape
	restarted int64 // it restarted after this time, the latest such; 0 for never
	growth    recent[float32]
	ticks     int64 // time of the last sample of a clock series
	gaps      gaps
}

// fall is what it means that counters of a process are lower than before; 0 when
// none is.
type fall uint8

const (
	// restart: they began again.
	restart fall = iota + 1
	// dip: they are a little lower, or right after the scrape before. Two
	// replicas took samples that came out of order, unless the process says that
	// it began since.
	dip
	// suspect: they are lower, but by far higher than what the process counts
	// in such a time. It restarted, or these are the counters of another.
	suspect
)

// evidence is what a scrape as a whole tells.
type evidence struct {
	fall    fall
	was, is float64 // the sums of what fell, before and now
	// plausible is what a counter of the process may count since the last scrape
	// without being suspect.
	plausible float64
	whole     bool // some series is in both scrapes, and none ended in between
	gap       bool // scrapes are missing
}

// look gathers the evidence of a scrape.
func (p *process) look(together []*cursor, now int64) evidence {
	var e evidence
	went := 0
	for _, c := range together {
		last, v := c.series.last, rounded(c.samples[0].v)
		if last.t != 0 && last.t == p.last {
			went++
		}
		if last.t != 0 && v < last.v {
			e.was += last.v
			e.is += v
		}
	}
	e.whole = went > 0 && went == p.size
	e.gap = p.last != 0 && now-p.last > p.gaps.limit()
	scrapes := 1.0
	if usual := p.gaps.usual; usual > 0 {
		scrapes = max(1, float64(now-p.last)/float64(usual))
	}
	e.plausible = 100 + 10*scrapes*float64(p.growth.most())
	switch {
	case e.was == 0:
	case !e.gap && (e.is >= 0.9*e.was || now-p.last < p.gaps.usual/2):
		e.fall = dip
	case e.is > e.plausible:
		e.fall = suspect
	default:
		e.fall = restart
	}
	return e
}

// scrape counts what one scrape brings. A process restarted when one of its
// counters fell: when it did is known as well as when that counter was scraped
// before. A series that was not there at the scrape before was born, and counts
// from zero, when the process restarted since that scrape or when the scrapes
// around are whole. It was born again when it had ended and the process
// restarted since. What this can't tell is claimed, for the start time of the
// process to tell.
func (p *process) scrape(together []*cursor, now int64, out *tally) {
	e := p.look(together, now)
	if e.fall == restart || e.fall == suspect {
		for _, c := range together {
			if last := c.series.last; last.t != 0 && rounded(c.samples[0].v) < last.v {
				p.restarted = max(p.restarted, last.t)
			}
		}
	}
	grown := 0.0
	for _, c := range together {
		last, v := c.series.last, rounded(c.samples[0].v)
		delta := p.delta(c, now, e, out)
		if out.witness != nil {
			out.witness.sample(c.raw, sample{t: now, v: v}, delta)
		}
		if e.fall == dip && v < last.v {
			v = last.v // what it grows from here on has been counted
		}
		grown += delta
		out.add(slotEnd(now), c.raw, delta)
		c.series.last = sample{t: now, v: v}
	}
	if p.last != 0 {
		p.growth.push(float32(grown))
	}
	p.tick(together, now, out)
	p.last, p.size = now, len(together)
}

// delta is what a series counts at a scrape, as far as the process' own series
// tell.
func (p *process) delta(c *cursor, now int64, e evidence, out *tally) float64 {
	last, v := c.series.last, rounded(c.samples[0].v)
	away := last.t != 0 && last.t < p.last
	claim := claim{at: now, since: p.last, raw: c.raw, events: v}
	switch {
	case last.t != 0 && v < last.v && e.fall == dip:
		out.find(FindDip, c.raw, now, 0)
		claim.kind = FindReset
		out.claim(claim)
		return 0
	case last.t != 0 && (v < last.v || away && last.t <= p.restarted && v <= e.plausible):
		claim.kind = FindReset
		if v >= last.v {
			claim.kind = FindRebirth
		}
		if e.fall == suspect {
			claim.doubt = true
			if e.is <= e.was/2 {
				claim.unproven = v
			}
			out.claim(claim)
			return 0
		}
		out.find(claim.kind, c.raw, now, v)
		return v
	case last.t != 0:
		if (away || e.gap || e.fall == restart || e.fall == suspect) && last.v > 0 {
			claim.kind, claim.since, claim.events = FindRebirth, last.t, last.v
			out.claim(claim)
		}
		return v - last.v
	case v == 0:
		return 0
	}
	claim.kind = FindBirth
	switch {
	case p.last == 0: // the first scrape of a process tells nothing of its past
		claim.since, claim.doubt = now-maxScrape, p.heir
	case e.fall != suspect && (e.whole || p.restarted == p.last):
		out.births++
		out.find(FindBirth, c.raw, now, v)
		return v
	default:
		claim.doubt = true
	}
	out.claim(claim)
	return 0
}

// tick finds whether the time since the last sample of a clock series is known.
func (p *process) tick(together []*cursor, now int64, out *tally) {
	if !slices.ContainsFunc(together, func(c *cursor) bool { return c.raw.roles&out.clock != 0 }) {
		return
	}
	if p.ticks != 0 {
		gap := now - p.ticks
		if gap <= p.gaps.limit() {
			out.mark(slotEnd(p.ticks+1)-1, slotEnd(now))
		} else {
			out.find(FindGap, together[0].raw, now, float64(gap)/1000)
		}
		p.gaps.push(gap)
	}
	p.ticks = now
	out.newest = max(out.newest, now)
}

// recent are the last values of something.
type recent[T int32 | float32] struct {
	last [9]T
	n    uint32
}

func (r *recent[T]) push(v T) {
	r.last[r.n%uint32(len(r.last))] = v
	r.n++
}

func (r *recent[T]) all() []T { return r.last[:min(int(r.n), len(r.last))] }

func (r *recent[T]) most() T {
	var most T
	for _, v := range r.all() {
		most = max(most, v)
	}
	return most
}

// maxScrape is the longest scrape interval that gives known slots.
const maxScrape = 5 * 60 * 1000

// gaps are the last times between scrapes of a process, in milliseconds.
type gaps struct {
	recent[int32]
	usual int64 // 0 when it isn't known
}

// push remembers a gap. The usual one is the median, which one outage doesn't
// move; among nine it is the third largest, because where two replicas scrape
// in turns every other gap is short.
func (g *gaps) push(gap int64) {
	g.recent.push(int32(min(gap, 1<<31-1)))
	sorted := g.recent
	known := sorted.all()
	slices.Sort(known)
	at := len(known) / 2
	if len(known) == len(sorted.last) {
		at = 6
	}
	g.usual = int64(known[at])
}

// limit is how far two samples may be apart for the time between them to be
// known: two scrapes, and a tenth for the jitter of scraping.
func (g *gaps) limit() int64 {
	usual := g.usual
	if usual == 0 || usual > maxScrape {
		usual = maxScrape
	}
	return usual*2 + usual/10
}
