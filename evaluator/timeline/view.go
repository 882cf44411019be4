package timeline

import (
	"cmp"
	"slices"
	"sort"

	"github.com/slowburn-slo/slowburn/slo"
)

// A view is a timeline in which what is excluded did not happen: excluded slots
// hold no events and don't count. It shares the slots of the timeline, which keeps
// all that was counted, and takes away what happened in each hole.

// mask is what a view takes away.
type mask struct {
	holes []hole // what was counted in excluded times
	times []Away // excluded times, also those to come
}

// hole is excluded time on the grid of a timeline, and what was counted there.
type hole struct {
	from, to Minute
	by       int     // the exclusion
	begin    Running // all that was counted up to from
	before   Running // what holes before this one take away
	after    Running // with this one
}

// Away is excluded time. Of time that several exclusions exclude it is the first
// of them that does, so they never overlap.
type Away struct {
	From, To Minute
	by       int    // the place of the exclusion among those of the SLO
	before   Minute // how much is excluded before it
}

// View makes the views of a timeline that goes on.
type View struct {
	Spans    []slo.Span // excluded times
	Each     [][]Away   // those of each exclusion, which may overlap
	Times    []Away     // and without that
	from, to Minute     // that they are found in
	timeline *Timeline
	holes    []hole // of it, as far as they don't change any more
}

// Without is a view of the timeline, for as long as that stays as it is. An
// exclusion that begins or ends within a quarter of an hour that is folded
// excludes less: what lies within whole quarters.
func (t *Timeline) Without(s *slo.SLO) *Timeline {
	var v View
	out, _ := v.Of(t, nil, t.End(), s)
	return out
}

// spansAhead is for how much longer than needed excluded times are found at once.
const spansAhead = Minute(24 * 60)

// find finds the excluded times of a time.
func (v *View) find(s *slo.SLO, from, to Minute) {
	if v.to != 0 && from >= v.from && to <= v.to {
		return
	}
	v.from, v.to, v.holes = from, to+spansAhead, nil
	v.Spans = slo.Excluded(s.Exclusions, v.from.Time(), v.to.Time())
	v.Each = make([][]Away, len(s.Exclusions))
	for i := range s.Exclusions {
		for _, span := range slo.Excluded(s.Exclusions[i:i+1], v.from.Time(), v.to.Time()) {
			a := Away{From: MinuteOf(span.From), To: MinuteOf(span.To), by: i}
			if s.Slice != nil { // a slice that is touched is excluded whole
				length := Minutes(s.Slice.Length.Duration())
				a.To += (length - a.To%length) % length
			}
			v.Each[i] = append(v.Each[i], a)
		}
	}
	v.Times = apart(v.Each)
}

// apart are the times of exclusions without overlaps: each minute is that of the
// first that excludes it.
func apart(each [][]Away) []Away {
	type edge struct {
		at      Minute
		by, way int // 1 where a time begins, -1 where it ends
	}
	var edges []edge
	for _, a := range slices.Concat(each...) {
		edges = append(edges, edge{a.From, a.by, 1}, edge{a.To, a.by, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	var out []Away
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
			out = append(out, Away{From: e.at, To: edges[i+1].at, by: by, before: before})
		}
		before += edges[i+1].at - e.at
	}
	return out
}

// Steady is how old slots are that are final, and known or not for good, in
// minutes: the longest gap between scrapes that leaves them known is shorter.
const Steady = 60

// Of is the view of a timeline whose slots up to settled are final, and the
// folded quarters of an hour that an exclusion cuts, but whose slots are not
// known singly. The view before it is void.
func (v *View) Of(t *Timeline, singles Cuts, settled Minute, s *slo.SLO) (*Timeline, []Minute) {
	v.find(s, t.Start(), t.End().Add(s.Window.Length.Duration()))
	if v.timeline != t {
		v.timeline, v.holes = t, nil
	}
	e := edges{Cursor: Cursor{Timeline: t}, cuts: singles}
	holes, sum, done := v.holes, Running{}, t.Start()
	var reached Minute // where the next begins when it touches the last, and what was counted until there
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
		if a.To <= settled-Steady && len(e.missing) == 0 {
			v.holes = holes
		}
	}
	out := *t
	out.mask = &mask{holes, v.Times}
	return &out, e.missing
}

// edges looks up what was counted up to where exclusions begin and end.
type edges struct {
	Cursor
	cuts    Cuts
	missing []Minute // quarters of an hour
}

// at is the sum up to m, or up to the next boundary within the exclusion that
// begins or ends there.
func (e *edges) at(m Minute, begins bool) (Minute, Running) {
	t := e.Timeline
	m = min(max(m, t.Start()), t.End())
	if m >= t.FineFrom || m%Quarter == 0 {
		return e.At(m)
	}
	floor, before := e.At(m)
	next, after := e.At(floor + Quarter)
	if before == after {
		return m, before // it holds nothing
	}
	if c, ok := e.cuts[floor]; ok && c.fits(before, after) {
		return m, before.plus(c[m-floor-1])
	}
	if len(e.missing) == 0 || e.missing[len(e.missing)-1] != floor {
		e.missing = append(e.missing, floor)
	}
	if begins {
		return next, after
	}
	return floor, before
}

// raw is the timeline with what is excluded, to read only.
func (t *Timeline) raw() *Timeline {
	out := *t
	out.mask = nil
	return &out
}

// take takes away what is excluded of the sum up to m.
func (k *mask) take(t *Timeline, m Minute, sum Running) Running {
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

// Removed are the events in (from, to] that are excluded.
func (t *Timeline) Removed(from, to Minute) Sum {
	all, left := t.raw().Sum(from, to), t.Sum(from, to)
	return Sum{
		Start: left.Start, End: left.End, Total: all.Total - left.Total, Bad: all.Bad - left.Bad,
		Known: left.Excluded, Excluded: left.Excluded,
	}
}

// RemovedBy are the events in (from, to] that each of a number of exclusions
// removes. What several exclude is removed by the first, so that they add up to
// what is removed. from and to lie on the grid.
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

// Minus is what was added to o.
func (r Running) Minus(o Running) Running {
	return Running{r.Total.Minus(o.Total), r.Bad.Minus(o.Bad), r.Known - o.Known, r.excluded - o.excluded}
}

// Cuts are the quarters of an hour that are kept singly although they are folded,
// because an exclusion begins or ends within them, by their beginnings.
type Cuts map[Minute]Cut

// Cut is what was counted in a quarter of an hour up to the end of each slot.
type Cut [Quarter]Running

// fits reports whether the slots of a cut are those of a quarter of an hour.
func (c Cut) fits(from, to Running) bool { return c[Quarter-1] == to.Minus(from) }

// CutOf are the slots of a quarter of an hour of a timeline that is not folded
// there.
func CutOf(t *Timeline, from Minute) Cut {
	var c Cut
	_, begin := t.At(from)
	for i := range c {
		_, sum := t.At(from + Minute(i) + 1)
		c[i] = sum.Minus(begin)
	}
	return c
}

// Keep keeps the slots that are folded next and that excluded times cut.
func (c Cuts) Keep(t *Timeline, at Minute, times []Away) {
	at = min(at-at%Quarter, t.End())
	for _, a := range times {
		for _, edge := range []Minute{a.From, a.To} {
			if from := edge - edge%Quarter; edge != from && from >= t.FineFrom && from+Quarter <= at {
				c[from] = CutOf(t, from)
			}
		}
	}
}

// Forget forgets what lies before an instant.
func (c Cuts) Forget(start Minute) {
	for from := range c {
		if from < start {
			delete(c, from)
		}
	}
}

// Open is how many minutes of (from, to] are not excluded.
func (t *Timeline) Open(from, to Minute) Minute {
	if t.mask == nil {
		return to - from
	}
	return to - from - t.mask.excluded(to) + t.mask.excluded(from)
}

// excluded is how many minutes are excluded before an instant.
func (k *mask) excluded(m Minute) Minute {
	i := sort.Search(len(k.times), func(i int) bool { return k.times[i].From >= m }) - 1
	if i < 0 {
		return 0
	}
	return k.times[i].before + min(m, k.times[i].To) - k.times[i].From
}
