package evaluator

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"
)

// accounts turn samples into events per slot, and remember the last ones, so that
// no delta is lost between two reads.
type accounts interface {
	// feed counts the samples of (from, to] into slots.
	feed(batch []rawSeries, from, to Minute) *tally
	// clone is a copy to try unsettled samples on: what has not come may be late.
	clone() accounts
	// forget drops what had no sample since an instant, in milliseconds.
	forget(now, before int64)
	// interval is the usual time between two scrapes, in milliseconds; 0 when
	// it isn't known.
	interval() int64
	// hold is the instant up to which slots can be settled at an end.
	hold(batch []rawSeries, end, settled Minute) Minute
}

// aggregate counts by the sum of a target's counters at each boundary of slots,
// which the backend makes. It can't see single counters, so what it counts is
// less certain: where the number of counters in a sum changes, it counts what is
// sure.
type aggregate struct {
	clock   role
	sums    map[uint64]*targetSum
	witness *witness // as a counter's
	rulings *rulings // as a counter's
	follow  *rulings // as a counter's
	starts  starts   // as a counter's
	targets map[string]presence
}

// presence is what is remembered of a target: how many sums it had at the end of the
// last slot that has any, and after which time it restarted.
type presence struct {
	at        int64
	sums      int
	restarted int64
	life      life
}

// targetSum is what is remembered of the sum of a target's counters.
type targetSum struct {
	last   sample // its time is 0 before the first
	short  int    // for so many sums more, counters that come may be those that had gone
	lost   sample // what it fell by when counters left, at most a day ago
	leapt  uint8  // sums in a row whose leap was taken for counters that came back
	growth recent[float32]
	peak   peak
	fall   *fallen // not decided yet
	linger linger
}

// shortSums is for how many sums after counters left one, others that come are
// taken for them: ten minutes.
const shortSums = 10

func newAggregate(clock role) *aggregate {
	return &aggregate{clock: clock, sums: map[uint64]*targetSum{}, targets: map[string]presence{}}
}

func (a *aggregate) clone() accounts {
	out := &aggregate{clock: a.clock, sums: make(map[uint64]*targetSum, len(a.sums)), witness: a.witness, rulings: a.rulings.clone(), targets: maps.Clone(a.targets)}
	for key, s := range a.sums {
		copied := *s
		if s.fall != nil {
			fall := *s.fall
			copied.fall = &fall
		}
		out.sums[key] = &copied
	}
	return out
}

func (a *aggregate) forget(_, before int64) {
	maps.DeleteFunc(a.sums, func(_ uint64, s *targetSum) bool { return s.last.t <= before })
	maps.DeleteFunc(a.targets, func(_ string, p presence) bool { return p.at <= before })
}

func (a *aggregate) interval() int64 { return 60_000 }

func (a *aggregate) hold(_ []rawSeries, _, settled Minute) Minute { return settled }

func (a *aggregate) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(a.clock, from, to)
	out.witness, out.rulings, out.follow, out.starts = a.witness, a.rulings, a.follow, a.starts
	a.rulings.extend(from.millis(), to.millis())
	a.follow, a.starts = nil, nil
	byTarget := map[string][]sumCursor{}
	for i := range batch {
		raw := &batch[i]
		if samples := between(raw.samples, from.millis(), to.millis()); len(samples) > 0 {
			if a.sums[raw.key] == nil {
				a.sums[raw.key] = &targetSum{}
			}
			byTarget[raw.target] = append(byTarget[raw.target], sumCursor{raw, samples, a.sums[raw.key]})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byTarget)) {
		cursors := byTarget[key]
		slices.SortFunc(cursors, func(x, y sumCursor) int { return cmp.Compare(x.raw.key, y.raw.key) })
		a.targets[key] = a.targets[key].feed(cursors, a.clock, out)
	}
	return out
}

// sumCursor walks over the samples of a sum.
type sumCursor struct {
	raw     *rawSeries
	samples []sample
	sum     *targetSum
}

// feed walks over the boundaries of slots of a target.
func (p presence) feed(cursors []sumCursor, clock role, out *tally) presence {
	for {
		now := int64(math.MaxInt64)
		for _, c := range cursors {
			if len(c.samples) > 0 {
				now = min(now, c.samples[0].t)
			}
		}
		if now == math.MaxInt64 {
			return p
		}
		var together []*sumCursor
		for i := range cursors {
			if c := &cursors[i]; len(c.samples) > 0 && c.samples[0].t == now {
				together = append(together, c)
			}
		}
		began := out.starts.last(together[0].raw.target, now-60_000, now)
		e := p.look(together, now)
		e.beginning = p.beginning(together, began, now)
		p.restarted = max(p.restarted, e.restarted)
		grown := 0.0
		for _, c := range together {
			if c.raw.roles&clock != 0 {
				c.sum.tick(now, out)
			}
			grown += c.sum.step(c.raw, c.samples[0], e, out)
			c.samples = c.samples[1:]
		}
		p.at, p.sums, p.life = now, len(together), p.life.after(e.beginning, grown)
	}
}

// targetEvidence is what the sums of a target tell at a boundary of slots.
type targetEvidence struct {
	whole     bool  // those of the boundary before go on: what is new was born since
	restarted int64 // the target began again after this time, the latest such; 0 for never
	// plausible is the most that any of its sums may have grown by without being suspect.
	plausible float64
	beginning beginning
}

// look gathers the evidence of a boundary.
func (p presence) look(together []*sumCursor, now int64) targetEvidence {
	e := targetEvidence{restarted: p.restarted}
	went, fell, on := 0, false, 0.0
	for _, c := range together {
		s, v := c.sum, rounded(c.samples[0].v)
		if now-s.last.t > memory { // it is as if it were new
			*s = targetSum{}
		}
		if s.last.t == 0 || s.last.t != now-60_000 {
			continue
		}
		went++
		e.plausible = max(e.plausible, s.plausible(now))
		fell = fell || s.linger.at == 0 && v <= s.last.v/2 && v < s.last.v && v <= s.plausible(now) && sizeAt(c.raw.sizes, now) >= sizeAt(c.raw.sizes, s.last.t)
		if v >= s.last.v {
			on = max(on, v)
		}
	}
	e.whole = went > 0 && went == p.sums && p.at == now-60_000
	if fell && on <= e.plausible {
		e.restarted = now - 60_000
	}
	return e
}

// tick makes known what lies between two boundaries that follow each other, or
// have one between them.
func (s *targetSum) tick(now int64, out *tally) {
	if s.last.t != 0 && now-s.last.t <= 2*60_000 {
		out.mark(slotEnd(s.last.t), slotEnd(now))
	}
	out.newest = max(out.newest, now)
}

// step counts what a sum grew by. A sum that fell, or grew by far more than
// before, needs evidence.
func (s *targetSum) step(raw *rawSeries, x sample, e targetEvidence, out *tally) float64 {
	x.v = rounded(x.v)
	last := s.last
	if out.follow.covers(x.t) {
		delta := out.obey(raw, s.last, x)
		s.fall = nil
		s.count(raw, x, delta, out)
		out.surpluses.add(slotEnd(x.t), raw, explained(last, x.v, delta, out.follow.excuses(raw.key, x.t)))
		return delta
	}
	n, before := 0.0, 0.0
	if x.t-s.last.t <= 60_000 && s.doubtful(x.v, x.t) { // else it is not known to everybody
		n, before = sizeAt(raw.sizes, x.t), sizeAt(raw.sizes, s.last.t)
	}
	var delta float64
	fell, claimed := s.fall != nil, len(out.claims)
	excused := fell && x.t-s.fall.at <= deciding*60_000
	switch {
	case e.beginning.proven():
		delta = s.renew(raw, x, e.beginning, out)
	case s.linger.at != 0 && s.last.t == x.t-60_000:
		delta = s.lingered(raw, x, out)
	case s.last.t == 0 && (e.whole || e.restarted == x.t-60_000):
		if delta = x.v; delta > 0 {
			out.births++
			out.find(FindBirth, raw, x.t, delta)
		}
	case s.began(x, e):
		if delta = x.v; s.last.t == x.t-60_000 {
			s.fall = &fallen{verdict: restarted, since: s.last.t, at: x.t, height: s.last.v, value: x.v, counted: x.v}
		}
		out.find(FindRebirth, raw, x.t, delta)
	default:
		delta = s.delta(raw, x, n-before, before > 0, out)
	}
	excused = excused || len(out.claims) > claimed // counters left, or came back
	if last.t != 0 && s.growth.n == 0 {
		out.surpluses.extrapolate(slotEnd(x.t), raw, delta)
	}
	out.rule(raw, last, x, delta, fell || excused || s.fall != nil)
	out.excuse(raw, x.t, excused)
	s.decide(raw, x.t, delta, out)
	s.count(raw, x, delta, out)
	out.surpluses.add(slotEnd(x.t), raw, explained(last, x.v, delta, excused))
	return delta
}

// began reports whether a sum began again with its target, and is no lower than before.
// One that is the same may be a sum of counters that are gone, which a backend shows for
// some minutes; it is judged by what it counted itself.
func (s *targetSum) began(x sample, e targetEvidence) bool {
	if s.last.t == 0 || s.last.t > e.restarted || x.v < s.last.v {
		return false
	}
	return x.v <= s.plausible(x.t) || x.v > s.last.v && x.v <= e.plausible
}

// count takes over what a sum counts at once.
func (s *targetSum) count(raw *rawSeries, x sample, delta float64, out *tally) {
	if s.last.t != 0 {
		pace := delta
		if s.leapt < deciding && s.lost.v > 0 && x.t-s.lost.t <= memory { // what came may be counters that were there before
			pace = min(pace, s.plausible(x.t)/5)
		}
		s.peak.push(x.t, pace/max(1, float64(x.t-s.last.t)/60_000), s.growth.still())
		s.growth.push(float32(pace))
	}
	if delta > 0 {
		s.leapt = 0
	}
	if out.witness != nil {
		out.witness.sample(raw, x, delta)
	}
	out.add(slotEnd(x.t), raw, delta)
	s.last, s.short = x, max(0, s.short-1)
}

// delta is what a sum counts at once, of so many counters more than before.
func (s *targetSum) delta(raw *rawSeries, x sample, more float64, sized bool, out *tally) float64 {
	last := s.last
	claim := claim{kind: FindReset, raw: raw, at: x.t, since: last.t, seen: x.t, value: x.v, rate: s.rate(), events: x.v}
	fewer := sized && more < 0
	again := claim // it may have begun again, and passed what it was
	again.kind, again.events = FindRebirth, last.v
	switch {
	case last.t == 0:
		claim.kind, claim.since, claim.rate = FindBirth, x.t-maxScrape, 0
		out.claim(claim)
		return 0
	case s.back(x):
		return s.rose(raw, x, out)
	case x.v < last.v:
		return s.fell(claim, fewer, out)
	case fewer:
		s.shorten(x, 0)
		claim.doubt, claim.undecided = true, x.v
		out.claim(claim)
		return 0
	case more > 0 || s.returns(x.v, x.t): // some came, or took the place of others
		claim.kind, claim.events, claim.since = FindBirth, x.v-last.v, min(last.t, x.t-shortSums*60_000)
		claim.doubt, claim.undecided, claim.rate = true, x.v-last.v, 0
		out.claim(claim)
		s.leapt = min(s.leapt+1, deciding)
		if last.v > 0 && s.growth.still() {
			out.claim(again)
		}
		return 0
	case last.v > 0 && (x.t-last.t > 2*60_000 || x.v > last.v && s.growth.still()):
		out.claim(again)
	}
	return x.v - last.v
}

// fell notes a fall and counts what is certain of it.
func (s *targetSum) fell(c claim, fewer bool, out *tally) float64 {
	v, last, plausible := c.value, s.last, s.plausible(c.at)
	f := s.fall
	if f == nil {
		f = &fallen{since: last.t, height: last.v}
	} else {
		f.scrapes++
	}
	switch {
	case v <= plausible && !fewer && (v <= last.v/2 || c.at-last.t > 2*60_000):
		f.verdict = restarted
	case fewer || v > plausible:
		f.verdict = reduced
	default:
		f.verdict = unsure
	}
	f.at, f.value, f.sum, f.rate = c.at, v, v, c.rate
	s.fall = f
	if f.verdict == restarted {
		f.counted += v
		out.find(FindReset, c.raw, c.at, v)
		return v
	}
	s.shorten(sample{c.at, v}, last.v-v)
	if v > 0 {
		c.since = f.since
		out.claim(c)
	}
	return 0
}

// shorten notes that counters left a sum, and by how much it fell.
func (s *targetSum) shorten(x sample, lost float64) {
	s.short = shortSums + 1
	if lost >= s.lost.v || x.t-s.lost.t > memory {
		s.lost = sample{x.t, lost}
	}
}

// back reports whether a sum that fell is at its old height again.
func (s *targetSum) back(x sample) bool {
	f := s.fall
	return f != nil && x.t-f.at <= deciding*60_000 && x.v >= f.height && (f.verdict != restarted || s.leaps(x.v, x.t))
}

// rose counts a sum that is back at its height: nothing twice.
func (s *targetSum) rose(raw *rawSeries, x sample, out *tally) float64 {
	f := s.fall
	s.fall = nil
	delta := max(0, x.v-f.height-f.counted)
	if more := x.v - s.last.v - delta; more > 0 && f.verdict != restarted {
		out.claim(claim{kind: FindReset, raw: raw, at: x.t, since: f.since, seen: f.at, value: f.sum, rate: f.rate, events: more})
	}
	out.find(FindDip, raw, x.t, 0)
	return delta
}

// decide decides a fall when its time is over.
func (s *targetSum) decide(raw *rawSeries, now int64, delta float64, out *tally) {
	f := s.fall
	if f == nil {
		return
	}
	if f.at < now {
		f.counted += delta
		f.scrapes++
	}
	if f.scrapes < deciding && now-f.at <= deciding*60_000 {
		return
	}
	if s.fall = nil; f.verdict != restarted {
		out.claim(f.claim(raw, now))
	}
}

// rate is how many events in a millisecond are plausible; 0 when nothing is known.
func (s *targetSum) rate() float64 {
	return max(10*float64(s.growth.most()), 2*float64(s.peak.most())) / 60_000
}

// plausible is how much a sum may grow until an instant without being suspect.
func (s *targetSum) plausible(now int64) float64 {
	return slack + s.rate()*float64(max(now-s.last.t, 60_000))
}

// leaps reports whether a sum grows by far more than before. Of the first growth
// nothing is known but that a sum which is doubled by a changed label doubles.
func (s *targetSum) leaps(v float64, now int64) bool {
	return v-s.last.v > s.plausible(now) && (s.growth.n > 0 || v >= 1.9*s.last.v)
}

// returns reports whether a sum leaps as it does when counters come back that had
// left it. They do so in a scrape or two; what leaps longer is an outage.
func (s *targetSum) returns(v float64, now int64) bool {
	if s.leapt >= deciding || !s.leaps(v, now) {
		return false
	}
	return s.short > 0 || s.lost.v > 0 && now-s.lost.t <= memory && v-s.last.v >= min(s.lost.v/2, 10*s.plausible(now))
}

// doubtful reports whether the number of counters in a sum matters: it fell, leaps,
// or is short of counters.
func (s *targetSum) doubtful(v float64, now int64) bool {
	return v < s.last.v || s.short > 0 || s.leaps(v, now)
}

// unsure reports whether the number of counters in any of the sums matters.
func (a *aggregate) unsure(batch []rawSeries, from Minute) bool {
	for i := range batch {
		s := targetSum{}
		if known := a.sums[batch[i].key]; known != nil {
			s = *known
		}
		samples := batch[i].samples
		for _, x := range samples[sort.Search(len(samples), func(j int) bool { return samples[j].t > from.millis() }):] {
			v := rounded(x.v)
			if s.last.t != 0 && s.doubtful(v, x.t) {
				return true
			}
			if s.last.t != 0 {
				s.growth.push(float32(v - s.last.v))
			}
			s.last = sample{x.t, v}
		}
	}
	return false
}

// sizeAt is how many counters a sum is of at an instant, 0 when it isn't known.
func sizeAt(sizes []sample, at int64) float64 {
	i, ok := slices.BinarySearchFunc(sizes, at, func(x sample, t int64) int { return cmp.Compare(x.t, t) })
	if !ok {
		return 0
	}
	return sizes[i].v
}
