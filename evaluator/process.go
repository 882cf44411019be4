package evaluator

import (
	"slices"
)

// process is a set of series that are scraped together, at the same times.
type process struct {
	heir      bool  // its target had other series before
	counts    bool  // it has more samples than zeros at the starts of series
	size      int32 // series in the last scrape
	last      int64 // time of the last scrape; 0 before the first
	restarted int64 // it restarted after this time, the latest such; 0 for never
	life      life
	growth    recent[float32]
	peak      peak
	falls     map[uint64]fallen // not decided yet, by series
	lost      []lost            // parts that went, in the order of time
	shrank    int64             // when the last of them went; 0 for never
	leaps     uint8             // scrapes in a row in which some came back
	lowered   int64             // time of the last sample that was lower than the one before
	born      map[uint64]bool   // the series of which the last scrape had the first sample
	bears     map[uint64]bool   // the same of the scrape that is being counted
	ticks     int64             // time of the last sample of a clock series
	gaps      gaps
}

// evidence is what a scrape as a whole tells.
type evidence struct {
	verdict  verdict            // about the counters that are lower than at the scrape before; 0 when none is
	restart  bool               // it is the process that began again, as far as the others don't show that it went on
	all      bool               // the others began again as well
	back     bool               // those that fell are at their old height again
	regained map[uint64]float64 // what comes back of parts that went, by series
	sum      float64            // of all counters
	// plausible is what counters of the process may count since the last scrape
	// without being suspect.
	plausible float64
	whole     bool // some series is in both scrapes, and none ended in between
	gap       bool // scrapes are missing
}

// look gathers the evidence of a scrape.
func (p *process) look(together []*cursor, now int64) evidence {
	e := evidence{plausible: p.plausible(now - p.last), back: p.back(together, now)}
	var s sides
	went := int32(0)
	for _, c := range together {
		last, v := c.series.last, rounded(c.samples[0].v)
		e.sum += v
		if last.t != 0 && last.t == p.last {
			went++
		}
		switch {
		case last.t == 0 || p.away(last.t):
		case v < last.v:
			s.was, s.is = s.was+last.v, s.is+v
		default:
			s.held, s.on = s.held+last.v, s.on+v
		}
	}
	e.whole = went > 0 && went == p.size
	e.gap = p.last != 0 && now-p.last > p.gaps.limit()
	e.verdict = s.judge(e.plausible, p.near(now), e.gap)
	e.restart = e.verdict == restarted && s.on <= e.plausible
	e.all = e.restart && s.is+s.on <= e.plausible && s.was >= s.held
	return e
}

// near reports whether a scrape is closer to the last one than usual, as those of
// another replica are.
func (p *process) near(now int64) bool { return now-p.last < p.gaps.usual/2 }

// away reports whether a series with its last sample at a time missed scrapes.
func (p *process) away(last int64) bool { return p.last-last > p.gaps.usual/2 }

// rate is how many events in a millisecond are plausible; 0 when nothing is known.
func (p *process) rate() float64 {
	if p.gaps.usual == 0 {
		return 0
	}
	return max(10*float64(p.growth.most()), 2*float64(p.peak.most())) / float64(p.gaps.usual)
}

// plausible is how many events in a time, of at least a scrape, are plausible.
func (p *process) plausible(since int64) float64 {
	if p.gaps.usual == 0 {
		return slack + 10*float64(p.growth.most())
	}
	return slack + p.rate()*float64(max(since, p.gaps.usual))
}

// scrape counts what one scrape brings. A process restarted when one of its
// counters fell: when it did is known as well as when that counter was scraped
// before. A series that was not there at the scrape before was born, and counts
// from zero, when the process restarted since that scrape or when the scrapes
// around are whole. It was born again when it had ended and the process
// restarted since. What this can't tell is claimed, for the start time of the
// process to tell.
func (p *process) scrape(together []*cursor, now int64, out *tally) {
	if out.follow.covers(now) {
		p.follow(together, now, out)
		return
	}
	p.begin(together, now)
	e := p.look(together, now)
	b := p.beginning(together, out.starts.at(together[0].raw.target, now), e.sum, now)
	if b.proven() {
		p.lost = nil
		p.renew(together, b, out)
		return
	}
	if b.doubtful() && p.restarted < max(b.said, 1) {
		for _, c := range together {
			c.claimDoubt(out, now)
		}
	}
	if e.restart {
		p.restarted, p.lost = max(p.restarted, p.last), nil
	}
	if e.back && p.above(together, e.plausible) { // more than what fell is back
		e.back = false
		p.miss(together, now, out)
	}
	if !e.back {
		e.regained = p.regain(together, e.plausible, now)
	}
	grown := 0.0
	for _, c := range together {
		_, open := p.falls[c.raw.key]
		excused := open && now-p.lowered <= p.gaps.limit() || e.regained[c.raw.key] > 0
		delta := p.delta(c, now, e, out)
		f, fell := p.falls[c.raw.key]
		if fell && f.at < now {
			f.counted += delta
			p.falls[c.raw.key] = f
		}
		out.rule(c.raw, c.series.last, sample{t: now, v: rounded(c.samples[0].v)}, delta, fell || excused)
		out.excuse(c.raw, now, excused)
		grown += c.count(now, delta, excused, out)
	}
	p.decide(together, now, out)
	p.scraped(together, b, p.paced(grown, now, e), out)
}

// follow counts a scrape as it was ruled for all series of the process.
func (p *process) follow(together []*cursor, now int64, out *tally) {
	grown := 0.0
	for _, c := range together {
		delta := out.obey(c.raw, c.series.last, sample{t: now, v: rounded(c.samples[0].v)})
		grown += c.count(now, delta, out.follow.excuses(c.raw.key, now), out)
		p.counts = p.counts || c.series.last.v > 0
	}
	p.falls, p.lost = nil, nil
	p.scraped(together, beginning{now: now}, grown, out)
}

// count takes over what a sample counts at once.
func (c *cursor) count(now int64, delta float64, excused bool, out *tally) float64 {
	x := sample{t: now, v: rounded(c.samples[0].v)}
	if out.witness != nil {
		out.witness.sample(c.raw, x, delta)
	}
	out.add(slotEnd(now), c.raw, delta)
	p := c.series.process
	out.surpluses.add(slotEnd(now), c.raw, explained(c.series.last, x.v, delta, excused))
	if p.born[c.raw.key] || c.series.last.t != 0 && p.away(c.series.last.t) { // its last sample may lie before the hour
		out.surpluses.extrapolate(slotEnd(now), c.raw, delta)
	}
	switch {
	case c.series.last.t != 0 && x.v < c.series.last.v:
		p.lowered = now
	case c.series.last.t == 0 && p.bears == nil:
		p.bears = map[uint64]bool{c.raw.key: true}
	case c.series.last.t == 0:
		p.bears[c.raw.key] = true
	}
	c.series.last = x
	return delta
}

// scraped notes that a scrape is counted.
func (p *process) scraped(together []*cursor, b beginning, grown float64, out *tally) {
	now := b.now
	if p.last != 0 {
		// What is not plausible is no measure for a day, before it goes on.
		p.peak.push(now, p.perScrape(min(grown, p.plausible(now-p.last)), now), p.growth.still())
		p.growth.push(float32(grown))
	}
	p.tick(together, now, out)
	p.last, p.size = now, int32(len(together))
	p.life = p.life.after(b, grown)
	p.born, p.bears = p.bears, nil
}

// begin takes the scrape for the first one when all samples before it are zeros at
// the starts of series, long before it or right before it: what came between was
// not scraped. Where samples may just come seldom, the next one decides.
func (p *process) begin(together []*cursor, now int64) {
	if p.counts {
		return
	}
	const renewed = 1000 // a start that is given anew with each scrape
	if since := now - p.last; since > p.gaps.limit() || since < renewed {
		for _, c := range together {
			if c.series.last.t != 0 && since >= renewed && since <= twice(maxPush) {
				p.remember(c.raw.key, fallen{verdict: zeroed, since: p.last, at: now, value: rounded(c.samples[0].v)})
			}
			c.series.last = sample{}
		}
		p.last, p.ticks = 0, 0
	}
	for _, c := range together {
		p.counts = p.counts || c.series.last.t != 0 || c.samples[0].v > 0
	}
}

// delta is what a series counts at a scrape, as far as the process' own series
// tell.
func (p *process) delta(c *cursor, now int64, e evidence, out *tally) float64 {
	last, v := c.series.last, rounded(c.samples[0].v)
	f, fell := p.falls[c.raw.key]
	switch {
	case last.t == 0:
		return p.birth(c, now, e, out)
	case fell && f.verdict == zeroed:
		delete(p.falls, c.raw.key)
		if now-f.at <= (f.at-f.since)/2 || v < last.v {
			return p.delta(c, now, e, out)
		}
		if c.raw.roles&out.clock != 0 {
			out.mark(slotEnd(f.since+1)-1, slotEnd(f.at))
		}
		return v - last.v + f.value
	case fell && e.back && v >= f.height:
		return p.rose(c, f, now, out)
	case p.away(last.t):
		return p.returned(c, now, e, out)
	case v < last.v:
		return p.fell(c, now, e, out)
	case e.all && v > 0:
		p.remember(c.raw.key, fallen{verdict: restarted, since: last.t, at: now, height: last.v, value: v, counted: v})
		out.find(FindReset, c.raw, now, v)
		return v
	case e.regained[c.raw.key] > 0:
		return p.regained(c, now, e, out)
	}
	if (e.gap || e.verdict != 0 || v > last.v && p.growth.still()) && last.v > 0 { // it may have passed what it was
		out.claim(claim{kind: FindRebirth, raw: c.raw, at: now, since: last.t, seen: now, value: e.sum, rate: p.rate(), events: last.v})
	}
	return v - last.v
}

// returned is what a series counts that missed scrapes of its process.
func (p *process) returned(c *cursor, now int64, e evidence, out *tally) float64 {
	last, v := c.series.last, rounded(c.samples[0].v)
	claim := claim{kind: FindRebirth, raw: c.raw, at: now, since: last.t, seen: now, value: e.sum, rate: p.rate()}
	if v < last.v {
		claim.kind = FindReset
	}
	likely := v <= p.plausible(now-max(last.t, p.restarted))
	switch {
	case likely && (v < last.v || last.t <= p.restarted):
		if v < last.v {
			p.restarted = max(p.restarted, last.t)
		}
		out.find(claim.kind, c.raw, now, v)
		return v
	case v < last.v:
		claim.events, claim.undecided, claim.doubt = v, v, true
		out.claim(claim)
		return 0
	case last.v > 0:
		claim.events = last.v
		if likely && p.last-last.t > p.gaps.limit() { // or it expired, and began anew
			claim.undecided, claim.doubt = last.v, true
		}
		out.claim(claim)
	}
	return v - last.v
}

// birth is what a series counts with its first sample.
func (p *process) birth(c *cursor, now int64, e evidence, out *tally) float64 {
	v := rounded(c.samples[0].v)
	if _, waits := p.falls[c.raw.key]; v == 0 || waits {
		return 0
	}
	claim := claim{kind: FindBirth, raw: c.raw, at: now, since: p.last, events: v}
	switch {
	case p.last == 0: // the first scrape of a process tells nothing of its past
		claim.since, claim.doubt = now-maxScrape, p.heir
	case e.verdict != reduced && (e.whole || p.restarted == p.last):
		out.births++
		out.find(FindBirth, c.raw, now, v)
		return v
	default:
		claim.doubt, claim.undecided = true, v
	}
	out.claim(claim)
	return 0
}

// perScrape is how much of a growth since the last scrape one scrape has.
func (p *process) perScrape(grown float64, now int64) float64 {
	if p.gaps.usual == 0 {
		return grown
	}
	return grown / max(1, float64(now-p.last)/float64(p.gaps.usual))
}

// peak is the most that a process counted in a scrape, in this half of a day and in
// the one before.
type peak struct {
	half         int32 // days since the epoch, times two
	this, before float32
}

// push notes what was counted in a scrape. What a process counts that was still is
// left out: it may have counted it in many scrapes, and shown it at once.
func (k *peak) push(now int64, grown float64, still bool) {
	const half = memory / 2
	if n := int32(now / half); n != k.half {
		if k.before = 0; n == k.half+1 {
			k.before = k.this
		}
		k.half, k.this = n, 0
	}
	if !still {
		k.this = max(k.this, float32(grown))
	}
}

func (k *peak) most() float32 { return max(k.this, k.before) }

// tick finds whether the time since the last sample of a clock series is known.
func (p *process) tick(together []*cursor, now int64, out *tally) {
	if !slices.ContainsFunc(together, func(c *cursor) bool { return c.raw.roles&out.clock != 0 }) {
		return
	}
	if p.ticks != 0 {
		gap := now - p.ticks
		if gap <= p.gaps.limit() {
			out.mark(slotEnd(p.ticks-p.gaps.first(gap)+1)-1, slotEnd(now))
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

// still reports whether the last of them are 0.
func (r *recent[T]) still() bool {
	const some = 4
	for i := range uint32(some) {
		if r.n < some || r.last[(r.n-1-i)%uint32(len(r.last))] != 0 {
			return false
		}
	}
	return true
}

func (r *recent[T]) most() T {
	var most T
	for _, v := range r.all() {
		most = max(most, v)
	}
	return most
}

const (
	// maxScrape is the longest scrape interval of what is scraped, as a rule; what
	// comes less often is pushed.
	maxScrape = 5 * 60 * 1000
	// maxPush is the longest time between samples that gives known slots.
	maxPush = 60 * 60 * 1000
)

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
// known.
func (g *gaps) limit() int64 {
	if g.usual == 0 {
		return twice(maxScrape)
	}
	return twice(g.between())
}

// first is the first gap of all where a second one as long shows that samples come
// seldom; else 0.
func (g *gaps) first(second int64) int64 {
	if g.n != 1 || g.usual <= twice(maxScrape) || second <= g.usual/2 {
		return 0
	}
	return g.usual
}

// patience is how long after a sample the next may come. That of a series with one
// sample may be one that comes seldom.
func (g *gaps) patience() int64 {
	if g.usual == 0 {
		return twice(maxPush)
	}
	return g.limit()
}

// between is the usual time between two samples, 0 when it isn't known. Samples
// seldom come only where half of the last gaps are long: where most are short the
// long ones are outages.
func (g *gaps) between() int64 {
	if g.usual <= maxScrape {
		return g.usual
	}
	sorted := g.recent
	known := sorted.all()
	slices.Sort(known)
	return min(max(int64(known[len(known)/2]), maxScrape), maxPush)
}

// twice is two scrapes, and a tenth for the jitter of scraping.
func twice(usual int64) int64 { return usual*2 + usual/10 }

// giveStarts hands starts to counters before they are fed.
func giveStarts(a accounts, s starts) {
	switch a := a.(type) {
	case *counter:
		a.starts = s
	case *aggregate:
		a.starts = s
	}
}
