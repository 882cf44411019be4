package timeline

import (
	"cmp"
	"slices"
	"sort"

	"github.com/slowburn-slo/slowburn/slo"
)

// A view is a timeline without the excluded events: excluded slots have no events and
// don't count. It shares the slots of the timeline, which contains all events, and
// subtracts those of each hole.

// mask contains the events that a view subtracts.
type mask struct {
	holes []hole         // the events of excluded times
	times []ExcludedTime // excluded times, including future ones
}

// hole is an excluded time on the grid of a timeline, with the running sums around it.
type hole struct {
	from, to Minute
	by       int     // index of the exclusion
	begin    Running // all events up to from
	before   Running // excluded events of the holes before this one
	after    Running // the same, with those of this one
}

// ExcludedTime is a time that an exclusion excludes. If several exclusions overlap, the
// first of them gets the time, so ExcludedTimes don't overlap.
type ExcludedTime struct {
	From, To Minute
	by       int    // index of the exclusion in the SLO
	before   Minute // minutes excluded before it
}

// View returns the views of a timeline that grows.
type View struct {
	Spans    []slo.Span       // excluded times
	Each     [][]ExcludedTime // the times of each exclusion, which may overlap
	Times    []ExcludedTime   // the same without overlaps
	from, to Minute           // the time in which Times were found
	timeline *Timeline
	holes    []hole // the holes of timeline that no longer change
}

// ViewFor returns a view of the timeline. It is valid until the timeline changes. If an
// exclusion begins or ends within a folded quarter of an hour, only the whole quarters
// within it are excluded.
func (t *Timeline) ViewFor(s *slo.SLO) *Timeline {
	var v View
	out, _ := v.Update(t, nil, t.End(), s)
	return out
}

// spansAhead is the number of minutes beyond the end of a window for which excluded times
// are found too.
const spansAhead = Minute(24 * 60)

// find finds the excluded times of (from, to].
func (v *View) find(s *slo.SLO, from, to Minute) {
	if v.to != 0 && from >= v.from && to <= v.to {
		return
	}
	v.from, v.to = from, to+spansAhead
	v.holes = nil
	v.Spans = slo.Excluded(s.Exclusions, v.from.Time(), v.to.Time())
	v.Each = make([][]ExcludedTime, len(s.Exclusions))
	for i := range s.Exclusions {
		for _, span := range slo.Excluded(s.Exclusions[i:i+1], v.from.Time(), v.to.Time()) {
			a := ExcludedTime{From: MinuteOf(span.From), To: MinuteOf(span.To), by: i}
			if s.Slice != nil { // a slice that an exclusion touches is excluded as a whole
				length := Minutes(s.Slice.Length.Duration())
				a.To += (length - a.To%length) % length
			}
			v.Each[i] = append(v.Each[i], a)
		}
	}
	v.Times = separate(v.Each)
}

// separate returns the times of exclusions without overlaps. Each minute belongs to the
// first exclusion that contains it.
func separate(each [][]ExcludedTime) []ExcludedTime {
	type edge struct {
		at      Minute
		by, way int // 1 where a time begins, -1 where it ends
	}
	var edges []edge
	for _, a := range slices.Concat(each...) {
		edges = append(edges, edge{a.From, a.by, 1}, edge{a.To, a.by, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	var out []ExcludedTime
	open, before := make([]int, len(each)), Minute(0)
	for i, e := range edges {
		open[e.by] += e.way
		by := slices.IndexFunc(open, func(n int) bool { return n > 0 })
		if i+1 == len(edges) || edges[i+1].at == e.at || by < 0 {
			continue
		}
		if last := len(out) - 1; last >= 0 && out[last].To == e.at && out[last].by == by {
			out[last].To = edges[i+1].at
		} else {
			out = append(out, ExcludedTime{From: e.at, To: edges[i+1].at, by: by, before: before})
		}
		before += edges[i+1].at - e.at
	}
	return out
}

// FinalAge is the age in minutes from which slots are final, and either known or unknown
// for good. It is longer than the longest gap between scrapes that leaves slots known.
const FinalAge = 60

// Update returns the view of a timeline whose slots up to settled are final. It is exact
// unless an exclusion cuts a folded quarter of an hour whose single slots are not in
// singles. The view that it returned before is no longer valid.
func (v *View) Update(t *Timeline, singles Cuts, settled Minute, s *slo.SLO) (view *Timeline, exact bool) {
	v.find(s, t.Start(), t.End().Add(s.Window.Longest()))
	if v.timeline != t {
		v.timeline, v.holes = t, nil
	}
	e := edgeFinder{Cursor: Cursor{Timeline: t}, cuts: singles, exact: true}
	holes, done := v.holes, t.Start()
	var sum Running
	var reached Minute // the start of the next hole if it touches the last, and the sum up to there
	var end Running
	if n := len(holes); n > 0 {
		sum, done = holes[n-1].after, holes[n-1].to
	}
	first := sort.Search(len(v.Times), func(i int) bool { return v.Times[i].To > done })
	for i, a := range v.Times[first:] {
		if a.From >= t.End() {
			break
		}
		h := hole{by: a.by, before: sum}
		if i > 0 && a.From == v.Times[first+i-1].To {
			h.from, h.begin = reached, end
		} else {
			h.from, h.begin = e.at(a.From, true)
		}
		if h.to, end = e.at(a.To, false); h.from >= h.to {
			reached, end = h.from, h.begin
			continue
		}
		reached = h.to
		sum = sum.plus(end.Minus(h.begin))
		sum.excluded += int32(h.to - h.from)
		h.after = sum
		holes = append(holes, h)
		if a.To <= settled-FinalAge && e.exact {
			v.holes = holes
		}
	}
	out := *t
	out.mask = &mask{holes, v.Times}
	return &out, e.exact
}

// edgeFinder finds the sums at the edges of exclusions.
type edgeFinder struct {
	Cursor
	cuts  Cuts
	exact bool // no quarter of an hour lacked its slots
}

// at returns the sum up to m. If the slots around m are folded, it uses the next boundary
// inside the exclusion that begins or ends there.
func (e *edgeFinder) at(m Minute, begins bool) (Minute, Running) {
	t := e.Timeline
	m = min(max(m, t.Start()), t.End())
	if m >= t.FineFrom || m%Quarter == 0 {
		return e.At(m)
	}
	floor, before := e.At(m)
	next, after := e.At(floor + Quarter)
	if before == after {
		return m, before // the quarter has no events
	}
	if c, ok := e.cuts[floor]; ok && c.fits(before, after) {
		return m, before.plus(c[m-floor-1])
	}
	e.exact = false
	if begins {
		return next, after
	}
	return floor, before
}

// raw returns the timeline with the excluded events, to read only.
func (t *Timeline) raw() *Timeline {
	out := *t
	out.mask = nil
	return &out
}

// subtract removes the excluded events from the sum up to m.
func (k *mask) subtract(t *Timeline, m Minute, sum Running) Running {
	m = min(max(m, t.Start()), t.End())
	i := sort.Search(len(k.holes), func(i int) bool { return k.holes[i].from >= m }) - 1
	if i < 0 {
		return sum
	}
	h := &k.holes[i]
	away := h.after
	if m < h.to {
		away = h.before.plus(sum.Minus(h.begin))
		away.excluded += int32(m - h.from)
	}
	sum = sum.Minus(away)
	sum.excluded = away.excluded
	return sum
}

// Excludes reports whether the slot that ends at an instant is excluded.
func (t *Timeline) Excludes(end Minute) bool {
	if t.mask == nil {
		return false
	}
	holes := t.mask.holes
	i := sort.Search(len(holes), func(i int) bool { return holes[i].from >= end }) - 1
	return i >= 0 && end <= holes[i].to
}

// RemovedBy returns the events in (from, to] that each of n exclusions removes. If
// several exclude an event, the first removes it. So the parts add up to all removed
// events. from and to must lie on the grid.
func (t *Timeline) RemovedBy(from, to Minute, n int) []Sum {
	out := make([]Sum, n)
	upTo := func(h *hole, m Minute) Running {
		if m >= h.to {
			return h.after.Minus(h.before)
		} else if m <= h.from {
			return Running{}
		}
		_, sum := t.raw().At(m)
		sum = sum.Minus(h.begin)
		sum.excluded = int32(m - h.from)
		return sum
	}
	for i := range t.mask.holes {
		if h := &t.mask.holes[i]; h.to > from && h.from < to {
			gone := upTo(h, to).Minus(upTo(h, from))
			out[h.by].Total += gone.Total.Events()
			out[h.by].Bad += gone.Bad.Events()
			out[h.by].Excluded += int(gone.excluded)
		}
	}
	return out
}

func (r Running) plus(o Running) Running {
	return Running{r.Total.plus(o.Total), r.Bad.plus(o.Bad), r.Known + o.Known, r.excluded + o.excluded}
}

// Minus returns the counts added since o.
func (r Running) Minus(o Running) Running {
	return Running{r.Total.Minus(o.Total), r.Bad.Minus(o.Bad), r.Known - o.Known, r.excluded - o.excluded}
}

// Cuts contains the single slots of folded quarters of an hour in which an exclusion
// begins or ends. The key is the beginning of the quarter.
type Cuts map[Minute]Cut

// Cut contains the sums from the start of a quarter of an hour to the end of each of its
// slots.
type Cut [Quarter]Running

// fits reports whether the slots of a cut add up to the events of a quarter of an hour.
func (c Cut) fits(from, to Running) bool { return c[Quarter-1] == to.Minus(from) }

// CutOf returns the slots of a quarter of an hour of a timeline that is not folded there.
func CutOf(t *Timeline, from Minute) Cut {
	var c Cut
	_, begin := t.At(from)
	for i := range c {
		_, sum := t.At(from + Minute(i) + 1)
		c[i] = sum.Minus(begin)
	}
	return c
}

// Keep stores the slots that are folded next and that excluded times cut.
func (c Cuts) Keep(t *Timeline, at Minute, times []ExcludedTime) {
	at = min(at-at%Quarter, t.End())
	for _, a := range times {
		for _, edge := range []Minute{a.From, a.To} {
			if from := edge - edge%Quarter; edge != from && from >= t.FineFrom && from+Quarter <= at {
				c[from] = CutOf(t, from)
			}
		}
	}
}

// Forget removes the cuts before an instant.
func (c Cuts) Forget(start Minute) {
	for from := range c {
		if from < start {
			delete(c, from)
		}
	}
}

// Open returns the number of minutes of (from, to] that are not excluded.
func (t *Timeline) Open(from, to Minute) Minute {
	if t.mask == nil {
		return to - from
	}
	return to - from - t.mask.excluded(to) + t.mask.excluded(from)
}

// excluded returns the number of excluded minutes before an instant.
func (k *mask) excluded(m Minute) Minute {
	i := sort.Search(len(k.times), func(i int) bool { return k.times[i].From >= m }) - 1
	if i < 0 {
		return 0
	}
	return k.times[i].before + min(m, k.times[i].To) - k.times[i].From
}
