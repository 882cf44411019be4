package counters

import (
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// process is a set of series that are scraped together, at the same times.
type process struct {
	heir      bool  // its target had other series before
	counts    bool  // it has more samples than zeros at the starts of series
	size      int32 // series in the last scrape
	last      int64 // time of the last scrape; 0 before the first
	restarted int64 // it restarted after this time, the latest such; 0 for never
	life      life
	growth    counting.Recent[float32]
	peak      peak
	falls     map[uint64]fallen // not decided yet, by series
	lost      []lostPart        // parts that left, in the order of time
	shrank    int64             // when the last part left; 0 for never
	leaps     uint8             // scrapes in a row in which parts came back
	lowered   int64             // time of the last sample lower than the one before
	born      map[uint64]bool   // series whose first sample was in the last scrape
	bears     map[uint64]bool   // the same of the scrape that is being counted
	lastTick  int64             // time of the last sample of a clock series
	gaps      counting.Gaps
}

// evidence contains the conclusions from a whole scrape.
type evidence struct {
	verdict  verdict            // about the counters that fell; 0 if none did
	restart  bool               // the process restarted, unless the other counters prove that it did not
	all      bool               // all counters restarted
	back     bool               // counters that fell are at their old height again
	regained map[uint64]float64 // amounts of parts that come back, by series
	sum      float64            // of all counters
	// plausible is how much counters of the process can have counted since the last scrape.
	plausible float64
	whole     bool // some series is in both scrapes, and none ended in between
	gap       bool // scrapes are missing
}

// look returns the evidence of a scrape.
func (p *process) look(together []*seriesCursor, now int64) evidence {
	e := evidence{plausible: p.plausible(now - p.last), back: p.back(together, now)}
	var s sides
	went := int32(0)
	for _, c := range together {
		last, v := c.state.last, c.now.V
		e.sum += v
		if last.T != 0 && last.T == p.last {
			went++
		}
		switch {
		case last.T == 0 || p.away(last.T):
		case v < last.V:
			s.fellFrom, s.fellTo = s.fellFrom+last.V, s.fellTo+v
		default:
			s.othersFrom, s.othersTo = s.othersFrom+last.V, s.othersTo+v
		}
	}
	e.whole = went > 0 && went == p.size
	e.gap = p.last != 0 && now-p.last > p.gaps.Limit()
	e.verdict = s.judge(e.plausible, p.near(now), e.gap)
	e.restart = e.verdict == restarted && s.othersTo <= e.plausible
	e.all = e.restart && s.fellTo+s.othersTo <= e.plausible && s.fellFrom >= s.othersFrom
	return e
}

// near reports whether a scrape is closer to the last one than usual, as those of another
// replica are.
func (p *process) near(now int64) bool { return now-p.last < p.gaps.Usual/2 }

// away reports whether a series whose last sample has this time missed scrapes.
func (p *process) away(last int64) bool { return p.last-last > p.gaps.Usual/2 }

// rate returns the plausible events in a millisecond, or 0 if unknown.
func (p *process) rate() float64 {
	if p.gaps.Usual == 0 {
		return 0
	}
	return max(10*float64(p.growth.Max()), 2*float64(p.peak.most())) / float64(p.gaps.Usual)
}

// plausible returns the plausible events in a time, for at least one scrape.
func (p *process) plausible(since int64) float64 {
	if p.gaps.Usual == 0 {
		return counting.Slack + 10*float64(p.growth.Max())
	}
	return counting.Slack + p.rate()*float64(max(since, p.gaps.Usual))
}

// scrape counts one scrape.
//
// The process restarted if one of its counters fell. The restart was then after the last
// scrape of that counter. A series that was not in the scrape before was born. It counts
// from zero if the process restarted since that scrape, or if no series is missing in both
// scrapes. It was born again if it had ended and the process restarted since. Other values
// are unproven: the start time of the process decides them.
func (p *process) scrape(together []*seriesCursor, now int64, out *counting.Events) {
	if out.Followed.Covers(now) {
		p.follow(together, now, out)
		return
	}
	p.begin(together, now)
	e := p.look(together, now)
	b := p.beginning(together, out.Starts.At(together[0].raw.Target, now), e.sum, now)
	if b.proven() {
		p.lost = nil
		p.renew(together, b, out)
		return
	}
	if b.doubtful() && p.restarted < max(b.reported, 1) {
		for _, c := range together {
			addDoubt(c, out, now)
		}
	}
	if e.restart {
		p.restarted, p.lost = max(p.restarted, p.last), nil
	}
	if e.back && p.above(together, e.plausible) { // more than the fall is back
		e.back = false
		p.miss(together, now, out)
	}
	if !e.back {
		e.regained = p.regain(together, e.plausible, now)
	}
	grown := 0.0
	for _, c := range together {
		_, open := p.falls[c.raw.Key]
		excused := open && now-p.lowered <= p.gaps.Limit() || e.regained[c.raw.Key] > 0
		delta := p.delta(c, now, e, out)
		f, fell := p.falls[c.raw.Key]
		if fell && f.at < now {
			f.counted += delta
			p.falls[c.raw.Key] = f
		}
		grown += p.count(c, counting.Increment{Delta: delta, Fell: fell, Excused: excused}, out)
	}
	p.decide(together, now, out)
	p.scraped(together, b, p.paced(grown, now, e), out)
}

// follow counts a scrape by the rulings about all series of the process.
func (p *process) follow(together []*seriesCursor, now int64, out *counting.Events) {
	grown := 0.0
	for _, c := range together {
		delta := out.Obey(c.raw, c.state.last, c.now)
		grown += p.count(c, counting.Increment{Delta: delta, Excused: out.Followed.Excuses(c.raw.Key, now)}, out)
		p.counts = p.counts || c.state.last.V > 0
	}
	p.falls, p.lost = nil, nil
	p.scraped(together, beginning{now: now}, grown, out)
}

// count adds the events that a sample counts at once.
func (p *process) count(c *seriesCursor, i counting.Increment, out *counting.Events) float64 {
	i.Raw, i.Last, i.Now = c.raw, c.state.last, c.now
	i.First = p.born[c.raw.Key] || i.Last.T != 0 && p.away(i.Last.T) // its last sample may be before the hour
	out.Count(i)
	switch {
	case i.Last.T != 0 && i.Now.V < i.Last.V:
		p.lowered = i.Now.T
	case i.Last.T == 0 && p.bears == nil:
		p.bears = map[uint64]bool{c.raw.Key: true}
	case i.Last.T == 0:
		p.bears[c.raw.Key] = true
	}
	c.state.last = i.Now
	return i.Delta
}

// scraped updates the state of the process after a scrape.
func (p *process) scraped(together []*seriesCursor, b beginning, grown float64, out *counting.Events) {
	now := b.now
	if p.last != 0 {
		// An implausible growth is no measure for a day, unless it continues.
		p.peak.push(now, p.perScrape(min(grown, p.plausible(now-p.last)), now), p.growth.Idle())
		p.growth.Push(float32(grown))
	}
	p.tick(together, now, out)
	p.last, p.size = now, int32(len(together))
	p.life = p.life.after(b, grown)
	p.born, p.bears = p.bears, nil
}

// begin treats the scrape as the first one if all samples before it are zeros at the
// starts of series, long before it or right before it. The scrapes in between are
// missing. If samples may just come seldom, the next one decides.
func (p *process) begin(together []*seriesCursor, now int64) {
	if p.counts {
		return
	}
	const renewed = 1000 // a start that the exporter repeats at each scrape, in milliseconds
	if since := now - p.last; since > p.gaps.Limit() || since < renewed {
		for _, c := range together {
			if c.state.last.T != 0 && since >= renewed && since <= timeline.TwoIntervals(counting.MaxPush) {
				p.remember(c.raw.Key, fallen{verdict: zeroed, since: p.last, at: now, value: c.now.V})
			}
			c.state.last = backend.Sample{}
		}
		p.last, p.lastTick = 0, 0
	}
	for _, c := range together {
		p.counts = p.counts || c.state.last.T != 0 || c.now.V > 0
	}
}

// delta counts a series at a scrape, by the evidence of the process' own series.
func (p *process) delta(c *seriesCursor, now int64, e evidence, out *counting.Events) float64 {
	last, v := c.state.last, c.now.V
	f, fell := p.falls[c.raw.Key]
	switch {
	case last.T == 0:
		return p.birth(c, now, e, out)
	case fell && f.verdict == zeroed:
		delete(p.falls, c.raw.Key)
		if now-f.at <= (f.at-f.since)/2 || v < last.V {
			return p.delta(c, now, e, out)
		}
		if c.raw.Roles&out.Clock != 0 {
			out.MarkKnown(timeline.SlotEnd(f.since+1)-1, timeline.SlotEnd(f.at))
		}
		return v - last.V + f.value
	case fell && e.back && v >= f.height:
		delete(p.falls, c.raw.Key)
		return f.rose(c.raw, last.V, c.now, out)
	case p.away(last.T):
		return p.returned(c, now, e, out)
	case v < last.V:
		return p.fell(c, now, e, out)
	case e.all && v > 0:
		p.remember(c.raw.Key, fallen{verdict: restarted, since: last.T, at: now, height: last.V, value: v, counted: v})
		out.AddFinding(counting.FindReset, c.raw, now, v)
		return v
	case e.regained[c.raw.Key] > 0:
		return p.regained(c, now, e, out)
	}
	if (e.gap || e.verdict != 0 || v > last.V && p.growth.Idle()) && last.V > 0 { // it may have passed its old value
		out.AddUnproven(counting.Unproven{Kind: counting.FindRebirth, Raw: c.raw, At: now, Since: last.T, Seen: now, Value: e.sum, Rate: p.rate(), Events: last.V})
	}
	return v - last.V
}

// returned counts a series that missed scrapes of its process.
func (p *process) returned(c *seriesCursor, now int64, e evidence, out *counting.Events) float64 {
	last, v := c.state.last, c.now.V
	claim := counting.Unproven{Kind: counting.FindRebirth, Raw: c.raw, At: now, Since: last.T, Seen: now, Value: e.sum, Rate: p.rate()}
	if v < last.V {
		claim.Kind = counting.FindReset
	}
	likely := v <= p.plausible(now-max(last.T, p.restarted))
	switch {
	case likely && (v < last.V || last.T <= p.restarted):
		if v < last.V {
			p.restarted = max(p.restarted, last.T)
		}
		out.AddFinding(claim.Kind, c.raw, now, v)
		return v
	case v < last.V:
		claim.Events = v
		claim.Undecided = v
		claim.Doubtful = true
		out.AddUnproven(claim)
		return 0
	case last.V > 0:
		claim.Events = last.V
		if likely && p.last-last.T > p.gaps.Limit() { // or it expired, and began again
			claim.Undecided, claim.Doubtful = last.V, true
		}
		out.AddUnproven(claim)
	}
	return v - last.V
}

// birth counts the first sample of a series.
func (p *process) birth(c *seriesCursor, now int64, e evidence, out *counting.Events) float64 {
	v := c.now.V
	if _, waits := p.falls[c.raw.Key]; v == 0 || waits {
		return 0
	}
	claim := counting.Unproven{Kind: counting.FindBirth, Raw: c.raw, At: now, Since: p.last, Events: v}
	switch {
	case p.last == 0: // the first scrape of a process shows nothing of its past
		claim.Since, claim.Doubtful = now-counting.MaxScrape, p.heir
	case e.verdict != reduced && (e.whole || p.restarted == p.last):
		out.AddBirth(c.raw, now, v)
		return v
	default:
		claim.Doubtful, claim.Undecided = true, v
	}
	out.AddUnproven(claim)
	return 0
}

// perScrape returns the part of a growth since the last scrape that one usual scrape has.
func (p *process) perScrape(grown float64, now int64) float64 {
	if p.gaps.Usual == 0 {
		return grown
	}
	return grown / max(1, float64(now-p.last)/float64(p.gaps.Usual))
}

// peak contains the most that a process counted in a scrape, in this half of a day and in
// the one before.
type peak struct {
	half         int32 // days since the epoch, times two
	this, before float32
}

// push adds the growth of a scrape. The growth of an idle process is ignored: it may have
// counted it in many scrapes, and shown it at once.
func (p *peak) push(now int64, grown float64, still bool) {
	const half = counting.Memory / 2
	if n := int32(now / half); n != p.half {
		p.before = 0
		if n == p.half+1 {
			p.before = p.this
		}
		p.half, p.this = n, 0
	}
	if !still {
		p.this = max(p.this, float32(grown))
	}
}

func (p *peak) most() float32 { return max(p.this, p.before) }

// tick marks the time since the last sample of a clock series as known, or records a gap.
func (p *process) tick(together []*seriesCursor, now int64, out *counting.Events) {
	if !slices.ContainsFunc(together, func(c *seriesCursor) bool { return c.raw.Roles&out.Clock != 0 }) {
		return
	}
	if p.lastTick != 0 {
		gap := now - p.lastTick
		if gap <= p.gaps.Limit() {
			out.MarkKnown(timeline.SlotEnd(p.lastTick-p.gaps.FirstGap(gap)+1)-1, timeline.SlotEnd(now))
		} else {
			out.AddFinding(counting.FindGap, together[0].raw, now, float64(gap)/1000)
		}
		p.gaps.Push(gap)
	}
	p.lastTick = now
	out.SeeClock(now)
}
