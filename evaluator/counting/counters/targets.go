package counters

import (
	"cmp"
	"maps"
	"slices"
	"sort"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Targets counts by the sum of a target's counters at each boundary of slots. The backend
// computes the sums. Single counters are not visible, so the result is less certain: if
// the number of counters in a sum changes, only certain events count.
type Targets struct {
	counting.Basis
	counting.EachMinute
	sums    map[uint64]*targetSum
	targets map[string]presence
}

// presence is the state of a target at the end of the last slot with sums.
type presence struct {
	at        int64
	sums      int
	restarted int64
	life      life
}

// targetSum is the state of the sum of a target's counters.
type targetSum struct {
	last     backend.Sample // its time is 0 before the first
	awaiting int            // number of sums for which counters that appear may be those that left
	lost     backend.Sample // the largest fall when counters left, within a day
	leapt    uint8          // sums in a row whose leap counted as counters that came back
	growth   counting.Recent[float32]
	peak     peak
	fall     *fallen // not decided yet
	linger   linger
}

// shortSums is the number of sums, ten minutes, after counters left one in which counters
// that appear count as the same.
const shortSums = 10

// NewTargets returns an empty Targets. Sums with the roles of clock make slots known.
func NewTargets(clock counting.Role) *Targets {
	return &Targets{Basis: counting.Basis{Clock: clock}, sums: map[uint64]*targetSum{}, targets: map[string]presence{}}
}

// Clone implements counting.Method.
func (t *Targets) Clone() counting.Method {
	out := &Targets{Basis: t.Basis.Clone(), sums: make(map[uint64]*targetSum, len(t.sums)), targets: maps.Clone(t.targets)}
	for key, s := range t.sums {
		copied := *s
		if s.fall != nil {
			fall := *s.fall
			copied.fall = &fall
		}
		out.sums[key] = &copied
	}
	return out
}

// Forget implements counting.Method.
func (t *Targets) Forget(_, before int64) {
	maps.DeleteFunc(t.sums, func(_ uint64, s *targetSum) bool { return s.last.T <= before })
	maps.DeleteFunc(t.targets, func(_ string, p presence) bool { return p.at <= before })
}

// Feed implements counting.Method.
func (t *Targets) Feed(batch []counting.RawSeries, from, to timeline.Minute) *counting.Events {
	out := t.Begin(from, to)
	eachTarget(batch, from, to, func(key string, cursors []sumCursor) {
		for i := range cursors {
			c := &cursors[i]
			if t.sums[c.raw.Key] == nil {
				t.sums[c.raw.Key] = &targetSum{}
			}
			c.state = t.sums[c.raw.Key]
		}
		slices.SortFunc(cursors, func(x, y sumCursor) int { return cmp.Compare(x.raw.Key, y.raw.Key) })
		p := t.targets[key]
		eachInstant(cursors, func(now int64, together []*sumCursor) { p = p.boundary(together, now, out) })
		t.targets[key] = p
	})
	return out
}

type sumCursor = cursor[targetSum]

// boundary counts a boundary of slots of a target, and returns its new state.
func (p presence) boundary(together []*sumCursor, now int64, out *counting.Events) presence {
	began := out.Starts.Last(together[0].raw.Target, now-60_000, now)
	e := p.look(together, now)
	e.beginning = p.beginning(together, began, now)
	p.restarted = max(p.restarted, e.restarted)
	grown := 0.0
	for _, c := range together {
		if c.raw.Roles&out.Clock != 0 {
			c.state.tick(now, out)
		}
		grown += c.state.step(c.raw, c.now, e, out)
	}
	p.at = now
	p.sums = len(together)
	p.life = p.life.after(e.beginning, grown)
	return p
}

// targetEvidence contains the conclusions from the sums of a target at a boundary of
// slots.
type targetEvidence struct {
	whole     bool  // the sums of the boundary before continue, so new ones were born since
	restarted int64 // the target restarted after this time, the latest such; 0 for never
	// plausible is the largest plausible growth of any of its sums.
	plausible float64
	beginning beginning
}

// look returns the evidence of a boundary.
func (p presence) look(together []*sumCursor, now int64) targetEvidence {
	e := targetEvidence{restarted: p.restarted}
	went := 0
	fell := false
	on := 0.0
	for _, c := range together {
		s, v := c.state, c.now.V
		if now-s.last.T > counting.Memory { // forgotten, so it counts as new
			*s = targetSum{}
		}
		if s.last.T == 0 || s.last.T != now-60_000 {
			continue
		}
		went++
		e.plausible = max(e.plausible, s.plausible(now))
		fell = fell || s.linger.at == 0 && v <= s.last.V/2 && v < s.last.V && v <= s.plausible(now) && sizeAt(c.raw.Sizes, now) >= sizeAt(c.raw.Sizes, s.last.T)
		if v >= s.last.V {
			on = max(on, v)
		}
	}
	e.whole = went > 0 && went == p.sums && p.at == now-60_000
	if fell && on <= e.plausible {
		e.restarted = now - 60_000
	}
	return e
}

// tick marks the time between two boundaries as known if at most one is missing between
// them.
func (s *targetSum) tick(now int64, out *counting.Events) {
	if s.last.T != 0 && now-s.last.T <= 2*60_000 {
		out.MarkKnown(timeline.SlotEnd(s.last.T), timeline.SlotEnd(now))
	}
	out.SeeClock(now)
}

// step counts the growth of a sum. It needs evidence if the sum fell, or grew by far more
// than before.
func (s *targetSum) step(raw *counting.RawSeries, x backend.Sample, e targetEvidence, out *counting.Events) float64 {
	if out.Followed.Covers(x.T) {
		delta := out.Obey(raw, s.last, x)
		s.fall = nil
		s.count(counting.Increment{Raw: raw, Now: x, Delta: delta, Excused: out.Followed.Excuses(raw.Key, x.T)}, out)
		return delta
	}
	n, before := 0.0, 0.0
	if x.T-s.last.T <= 60_000 && s.doubtful(x.V, x.T) { // a replica that started later may not know older sizes
		n, before = sizeAt(raw.Sizes, x.T), sizeAt(raw.Sizes, s.last.T)
	}
	var delta float64
	fell, claimed := s.fall != nil, len(out.Unproven)
	excused := fell && x.T-s.fall.at <= deciding*60_000
	switch {
	case e.beginning.proven():
		delta = s.renew(raw, x, e.beginning, out)
	case s.linger.at != 0 && s.last.T == x.T-60_000:
		delta = s.lingered(raw, x, out)
	case s.last.T == 0 && (e.whole || e.restarted == x.T-60_000):
		delta = x.V
		if delta > 0 {
			out.AddBirth(raw, x.T, delta)
		}
	case s.began(x, e):
		delta = x.V
		if s.last.T == x.T-60_000 {
			s.fall = &fallen{verdict: restarted, since: s.last.T, at: x.T, height: s.last.V, value: x.V, counted: x.V}
		}
		out.AddFinding(counting.FindRebirth, raw, x.T, delta)
	default:
		delta = s.delta(raw, x, n-before, before > 0, out)
	}
	excused = excused || len(out.Unproven) > claimed // counters left, or came back
	i := counting.Increment{Raw: raw, Now: x, Delta: delta, Fell: fell || s.fall != nil, Excused: excused, First: s.last.T != 0 && s.growth.N == 0}
	s.decide(raw, x.T, delta, out)
	s.count(i, out)
	return delta
}

// began reports whether a sum restarted with its target, and is not lower than before. A
// sum that stayed the same may contain counters that are gone, because a backend shows
// them for some minutes. It is judged by what it counted itself.
func (s *targetSum) began(x backend.Sample, e targetEvidence) bool {
	if s.last.T == 0 || s.last.T > e.restarted || x.V < s.last.V {
		return false
	}
	return x.V <= s.plausible(x.T) || x.V > s.last.V && x.V <= e.plausible
}

// count adds the events that a sum counts at once.
func (s *targetSum) count(i counting.Increment, out *counting.Events) {
	i.Last = s.last
	x := i.Now
	if s.last.T != 0 {
		pace := i.Delta
		if s.leapt < deciding && s.lost.V > 0 && x.T-s.lost.T <= counting.Memory { // counters that appeared may be those that left
			pace = min(pace, s.plausible(x.T)/5)
		}
		s.peak.push(x.T, pace/max(1, float64(x.T-s.last.T)/60_000), s.growth.Idle())
		s.growth.Push(float32(pace))
	}
	if i.Delta > 0 {
		s.leapt = 0
	}
	out.Count(i)
	s.last, s.awaiting = x, max(0, s.awaiting-1)
}

// delta returns the events of a sum at once. more is the change of the number of its
// counters, if sized.
func (s *targetSum) delta(raw *counting.RawSeries, x backend.Sample, more float64, sized bool, out *counting.Events) float64 {
	last := s.last
	claim := counting.Unproven{Kind: counting.FindReset, Raw: raw, At: x.T, Since: last.T, Seen: x.T, Value: x.V, Rate: s.rate(), Events: x.V}
	fewer := sized && more < 0
	again := claim // it may have restarted, and passed its old value
	again.Kind, again.Events = counting.FindRebirth, last.V
	switch {
	case last.T == 0:
		claim.Kind = counting.FindBirth
		claim.Since = x.T - counting.MaxScrape
		claim.Rate = 0
		out.AddUnproven(claim)
		return 0
	case s.back(x):
		f := s.fall
		s.fall = nil
		return f.rose(raw, last.V, x, out)
	case x.V < last.V:
		return s.fell(claim, fewer, out)
	case fewer:
		s.shorten(x, 0)
		claim.Doubtful, claim.Undecided = true, x.V
		out.AddUnproven(claim)
		return 0
	case more > 0 || s.returns(x.V, x.T): // counters appeared, or replaced others
		claim.Kind = counting.FindBirth
		claim.Events = x.V - last.V
		claim.Since = min(last.T, x.T-shortSums*60_000)
		claim.Doubtful = true
		claim.Undecided = x.V - last.V
		claim.Rate = 0
		out.AddUnproven(claim)
		s.leapt = min(s.leapt+1, deciding)
		if last.V > 0 && s.growth.Idle() {
			out.AddUnproven(again)
		}
		return 0
	case last.V > 0 && (x.T-last.T > 2*60_000 || x.V > last.V && s.growth.Idle()):
		out.AddUnproven(again)
	}
	return x.V - last.V
}

// fell records a fall, and returns the events that are certain.
func (s *targetSum) fell(c counting.Unproven, fewer bool, out *counting.Events) float64 {
	v := c.Value
	last := s.last
	plausible := s.plausible(c.At)
	f := s.fall
	if f == nil {
		f = &fallen{since: last.T, height: last.V}
	} else {
		f.scrapes++
	}
	switch {
	case v <= plausible && !fewer && (v <= last.V/2 || c.At-last.T > 2*60_000):
		f.verdict = restarted
	case fewer || v > plausible:
		f.verdict = reduced
	default:
		f.verdict = unsure
	}
	f.at = c.At
	f.value = v
	f.sum = v
	f.rate = c.Rate
	s.fall = f
	if f.verdict == restarted {
		f.counted += v
		out.AddFinding(counting.FindReset, c.Raw, c.At, v)
		return v
	}
	s.shorten(backend.Sample{T: c.At, V: v}, last.V-v)
	if v > 0 {
		c.Since = f.since
		out.AddUnproven(c)
	}
	return 0
}

// shorten records that counters left a sum, and by how much it fell.
func (s *targetSum) shorten(x backend.Sample, lost float64) {
	s.awaiting = shortSums + 1
	if lost >= s.lost.V || x.T-s.lost.T > counting.Memory {
		s.lost = backend.Sample{T: x.T, V: lost}
	}
}

// back reports whether a sum that fell is at its old height again.
func (s *targetSum) back(x backend.Sample) bool {
	f := s.fall
	return f != nil && x.T-f.at <= deciding*60_000 && x.V >= f.height && (f.verdict != restarted || s.leaps(x.V, x.T))
}

// decide resolves a fall when its time is over.
func (s *targetSum) decide(raw *counting.RawSeries, now int64, delta float64, out *counting.Events) {
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
	s.fall = nil
	if f.verdict != restarted {
		out.AddUnproven(f.unproven(raw, now))
	}
}

// rate returns the plausible events in a millisecond, or 0 if unknown.
func (s *targetSum) rate() float64 {
	return max(10*float64(s.growth.Max()), 2*float64(s.peak.most())) / 60_000
}

// plausible returns the plausible growth of a sum until an instant.
func (s *targetSum) plausible(now int64) float64 {
	return counting.Slack + s.rate()*float64(max(now-s.last.T, 60_000))
}

// leaps reports whether a sum grows by far more than before. For the first growth it
// requires about a doubling, as a changed label causes.
func (s *targetSum) leaps(v float64, now int64) bool {
	return v-s.last.V > s.plausible(now) && (s.growth.N > 0 || v >= 1.9*s.last.V)
}

// returns reports whether a sum leaps because counters that left came back. They come
// back within two scrapes. A longer leap is an outage.
func (s *targetSum) returns(v float64, now int64) bool {
	if s.leapt >= deciding || !s.leaps(v, now) {
		return false
	}
	return s.awaiting > 0 || s.lost.V > 0 && now-s.lost.T <= counting.Memory && v-s.last.V >= min(s.lost.V/2, 10*s.plausible(now))
}

// doubtful reports whether the number of counters in a sum matters: it fell, leaps, or
// lacks counters.
func (s *targetSum) doubtful(v float64, now int64) bool {
	return v < s.last.V || s.awaiting > 0 || s.leaps(v, now)
}

// NeedsSizes reports whether the number of counters in any of the sums matters.
func (t *Targets) NeedsSizes(batch []counting.RawSeries, from timeline.Minute) bool {
	for i := range batch {
		s := targetSum{}
		if known := t.sums[batch[i].Key]; known != nil {
			s = *known
		}
		samples := batch[i].Samples
		for _, x := range samples[sort.Search(len(samples), func(j int) bool { return samples[j].T > from.Millis() }):] {
			v := timeline.Rounded(x.V)
			if s.last.T != 0 && s.doubtful(v, x.T) {
				return true
			}
			if s.last.T != 0 {
				s.growth.Push(float32(v - s.last.V))
			}
			s.last = backend.Sample{T: x.T, V: v}
		}
	}
	return false
}

// sizeAt returns the number of counters in a sum at an instant, or 0 if it is unknown.
func sizeAt(sizes []backend.Sample, at int64) float64 {
	i, ok := slices.BinarySearchFunc(sizes, at, func(x backend.Sample, t int64) int { return cmp.Compare(x.T, t) })
	if !ok {
		return 0
	}
	return sizes[i].V
}
