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
}

// targetSum is what is remembered of the sum of a target's counters.
type targetSum struct {
	last   sample // its time is 0 before the first
	short  int    // for so many sums more, counters that come may be those that had gone
	lost   sample // what it fell by when counters left, at most a day ago
	growth recent[float32]
}

// shortSums is for how many sums after counters left one, others that come are
// taken for them: ten minutes.
const shortSums = 10

func newAggregate(clock role) *aggregate {
	return &aggregate{clock: clock, sums: map[uint64]*targetSum{}}
}

func (a *aggregate) clone() accounts {
	out := &aggregate{clock: a.clock, sums: make(map[uint64]*targetSum, len(a.sums)), witness: a.witness}
	for key, s := range a.sums {
		copied := *s
		out.sums[key] = &copied
	}
	return out
}

func (a *aggregate) forget(_, before int64) {
	maps.DeleteFunc(a.sums, func(_ uint64, s *targetSum) bool { return s.last.t <= before })
}

func (a *aggregate) interval() int64 { return 60_000 }

func (a *aggregate) hold(_ []rawSeries, _, settled Minute) Minute { return settled }

func (a *aggregate) feed(batch []rawSeries, from, to Minute) *tally {
	out := newTally(a.clock, from, to)
	out.witness = a.witness
	ordered := slices.Clone(batch)
	slices.SortFunc(ordered, func(x, y rawSeries) int { return cmp.Compare(x.key, y.key) })
	for i := range ordered {
		raw := &ordered[i]
		s := a.sums[raw.key]
		if s == nil {
			s = &targetSum{}
			a.sums[raw.key] = s
		}
		for _, x := range between(raw.samples, from.millis(), to.millis()) {
			if x.t-s.last.t > memory { // it is as if it were new
				*s = targetSum{}
			}
			if raw.roles&a.clock != 0 {
				s.tick(x.t, out)
			}
			s.step(raw, x, out)
		}
	}
	return out
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
func (s *targetSum) step(raw *rawSeries, x sample, out *tally) {
	v, last := rounded(x.v), s.last
	n, before := 0.0, 0.0
	if x.t-last.t <= 60_000 && s.doubtful(v, x.t) { // else it is not known to everybody
		n, before = sizeAt(raw.sizes, x.t), sizeAt(raw.sizes, last.t)
	}
	claim := claim{at: x.t, since: last.t, raw: raw, events: v, doubt: true}
	delta := 0.0
	switch {
	case last.t == 0:
		claim.kind, claim.since, claim.doubt = FindBirth, x.t-maxScrape, false
		out.claim(claim)
	case v < last.v && v <= last.v/2 && v <= s.plausible(x.t) && (n >= before || before == 0):
		delta = v
		out.find(FindReset, raw, x.t, v)
	case v < last.v || n < before:
		s.short = shortSums + 1
		if lost := last.v - v; lost >= s.lost.v || x.t-s.lost.t > memory {
			s.lost = sample{x.t, max(lost, 0)}
		}
		if claim.kind = FindReset; v > s.plausible(x.t) { // not all that it counts is new
			claim.since = math.MaxInt64
		}
		claim.undecided = v
		out.claim(claim)
	case n > before || s.returns(v, x.t): // some came, or took the place of others
		claim.kind, claim.events, claim.since = FindBirth, v-last.v, min(last.t, x.t-shortSums*60_000)
		out.claim(claim)
	default:
		delta = v - last.v
		if x.t-last.t > 2*60_000 && last.v > 0 { // it may have begun again, and passed what it was
			claim.kind, claim.events, claim.doubt = FindRebirth, last.v, false
			out.claim(claim)
		}
	}
	if last.t != 0 {
		s.growth.push(float32(delta))
	}
	if out.witness != nil {
		out.witness.sample(raw, sample{x.t, v}, delta)
	}
	out.add(slotEnd(x.t), raw, delta)
	s.last, s.short = sample{t: x.t, v: v}, max(0, s.short-1)
}

// plausible is how much a sum may grow until an instant without being suspect.
func (s *targetSum) plausible(now int64) float64 {
	return 100 + 10*float64(s.growth.most())*max(1, float64(now-s.last.t)/60_000)
}

// leaps reports whether a sum grows by far more than before. Of the first growth
// nothing is known but that a sum which is doubled by a changed label doubles.
func (s *targetSum) leaps(v float64, now int64) bool {
	return v-s.last.v > s.plausible(now) && (s.growth.n > 0 || v >= 1.9*s.last.v)
}

// returns reports whether a sum leaps as it does when counters come back that had
// left it.
func (s *targetSum) returns(v float64, now int64) bool {
	return s.leaps(v, now) && (s.short > 0 || s.lost.v > 0 && now-s.lost.t <= memory && v-s.last.v >= s.lost.v/2)
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
