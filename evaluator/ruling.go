package evaluator

import (
	"context"
	"maps"
	"slices"
)

// The samples of an SLO that is split by labels are judged once, with all evidence of
// their targets. Its groups follow these rulings, so that they sum to the whole.

// ruling is what a sample counts that is more than a plain increment.
type ruling struct {
	first   bool // the series was not known before
	excused bool // increase() may count it otherwise
	delta   float64
	claims  []claim
	found   []ruled
}

// ruled is a finding of a ruling.
type ruled struct {
	kind   FindingKind
	events float64
}

type rulingKey struct {
	series uint64
	at     int64
}

// rulings are those of the newest samples of a whole.
type rulings struct {
	from, to int64 // after from and up to to, in milliseconds
	of       map[rulingKey]*ruling
}

// keepRulings is for how long they are kept, for groups that settle later than the
// whole, in milliseconds.
const keepRulings = 60 * 60_000

// clone is a copy to go on with; nil of nil.
func (r *rulings) clone() *rulings {
	if r == nil {
		return nil
	}
	return &rulings{r.from, r.to, maps.Clone(r.of)}
}

// extend makes room for the rulings of (from, to].
func (r *rulings) extend(from, to int64) {
	if r == nil {
		return
	}
	if from > r.to || r.of == nil {
		r.from, r.of = from, map[rulingKey]*ruling{}
	}
	r.from, r.to = max(r.from, from-keepRulings), to
	maps.DeleteFunc(r.of, func(k rulingKey, _ *ruling) bool { return k.at <= r.from })
}

// covers reports whether the samples of an instant are judged.
func (r *rulings) covers(at int64) bool { return r != nil && at > r.from && at <= r.to }

// at is the ruling about a sample, made if there is none.
func (r *rulings) at(series uint64, at int64) *ruling {
	key := rulingKey{series, at}
	if r.of[key] == nil {
		r.of[key] = &ruling{}
	}
	return r.of[key]
}

// rule notes what a sample counted. A plain increment without more needs no ruling.
func (o *tally) rule(raw *rawSeries, last, x sample, delta float64, more bool) {
	if o.rulings == nil {
		return
	}
	plain := x.v - last.v
	if last.t == 0 {
		plain = 0
	}
	if more || delta != plain || o.rulings.of[rulingKey{raw.key, x.t}] != nil {
		r := o.rulings.at(raw.key, x.t)
		r.delta, r.first = delta, last.t == 0
	}
}

// excuse notes that a sample that has a ruling may be counted otherwise by increase().
func (o *tally) excuse(raw *rawSeries, at int64, excused bool) {
	if o.rulings != nil && excused {
		o.rulings.at(raw.key, at).excused = true
	}
}

// excuses reports whether a sample of a series may be counted otherwise by increase().
func (r *rulings) excuses(series uint64, at int64) bool {
	of := r.of[rulingKey{series, at}]
	return of != nil && of.excused
}

// obey counts a sample as the whole's was ruled, or by what the series grew since the
// last one.
func (o *tally) obey(raw *rawSeries, last, x sample) float64 {
	r := o.follow.of[rulingKey{raw.key, x.t}]
	switch {
	case r == nil && last.t != 0, r != nil && r.first && last.t != 0:
		return max(0, x.v-last.v)
	case r == nil || !r.first && last.t == 0:
		return 0
	}
	for _, c := range r.claims {
		c.raw = raw
		o.claim(c)
	}
	for _, f := range r.found {
		if f.kind == FindBirth {
			o.births++
		}
		o.find(f.kind, raw, x.t, f.events)
	}
	return r.delta
}

// ofGroup reports whether an entry counts counters of a group.
func (e *entry) ofGroup() bool {
	return len(e.book.plan.meters) == 1 && e.book.plan.meters[0].fresh == nil && e.book.plan.meters[0].ofGroup()
}

// judgesFor reports whether an entry is of the whole of which another is a group.
func (e *entry) judgesFor(group *entry) bool {
	mine, its := e.book.plan.meters[0], group.book.plan.meters[0]
	return e.err == nil && e.book.parts[0].method == group.book.parts[0].method &&
		slices.EqualFunc(mine.queries, its.queries, func(x, y query) bool {
			return x.role == y.role && x.weight == y.weight && x.text() == y.text() && slices.Equal(x.by, y.by)
		})
}

// newJudge makes an entry that is read along with that of a group, and judges for it.
func newJudge(e *entry) *entry {
	m := *e.book.plan.meters[0]
	m.queries = slices.Clone(m.queries)
	for i := range m.queries {
		m.queries[i].only = nil
		m.queries[i] = m.queries[i].named()
	}
	l := &plan{settle: e.book.plan.settle, meters: []*meter{&m}, history: e.book.plan.history}
	k := &book{plan: l, timeline: NewTimeline(e.book.settled), parts: make([]part, 1), settled: e.book.settled, piece: firstPiece}
	k.parts[0].method = e.book.parts[0].method
	return &entry{book: k, judges: true}
}

// judged finds for entries of groups those that judge for them: those of the wholes, or
// new ones. For a single group, whose past is its own, it reads but a day of all.
func (b *reader) judged(ctx context.Context, entries []*entry, end Minute) []*entry {
	var judges, others []*entry
	for _, e := range entries {
		if e.book.plan.groups != nil {
			judges = append(judges, e)
		} else {
			others = append(others, e)
		}
	}
	groups := map[*entry]int{}
	for _, e := range others {
		if e.err != nil || !e.ofGroup() {
			continue
		}
		i := slices.IndexFunc(judges, func(w *entry) bool { return w.judgesFor(e) })
		if i < 0 {
			i = len(judges)
			judges = append(judges, newJudge(e))
			judges[i].err = b.choose(ctx, judges[i], end)
		}
		e.whole = judges[i]
		if groups[e.whole]++; e.whole.judges {
			e.whole.book.settled = min(e.whole.book.settled, e.book.settled)
		}
	}
	for w, n := range groups {
		if w.judges && n == 1 {
			w.book.settled = max(w.book.settled, min(end-leadIn-lag, end))
		}
	}
	return append(judges, others...)
}

// follow lets parts of a group follow what was ruled for the whole.
func (e *entry) follow(parts, whole []part) {
	if e.whole == nil || e.whole.err != nil || whole == nil {
		return
	}
	switch a := parts[0].accounts.(type) {
	case *counter:
		a.follow = whole[0].accounts.(*counter).rulings
	case *aggregate:
		a.follow = whole[0].accounts.(*aggregate).rulings
	}
}
