package counting

import (
	"maps"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
)

// If an SLO is split by labels, its samples are judged once, with the evidence of all
// targets. The groups follow these rulings, so that they sum to the whole.

// ruling describes how a sample counts that is more than a plain increment.
type ruling struct {
	first   bool // the series was unknown before
	excused bool // increase() may count it differently
	delta   float64
	claims  []Unproven
	found   []ruledFinding
}

// ruledFinding is a finding of a ruling.
type ruledFinding struct {
	kind   FindingKind
	events float64
}

type rulingKey struct {
	series uint64
	at     int64
}

// Rulings contains the rulings about the newest samples of a whole SLO.
type Rulings struct {
	from, to int64 // after from, up to to; in milliseconds
	bySample map[rulingKey]*ruling
}

// keepRulings is how long rulings are kept, in milliseconds. Groups may settle later than
// the whole.
const keepRulings = 60 * 60_000

// Clone returns a copy. It returns nil for nil.
func (r *Rulings) Clone() *Rulings {
	if r == nil {
		return nil
	}
	return &Rulings{r.from, r.to, maps.Clone(r.bySample)}
}

// Extend prepares for the rulings of (from, to], and removes old ones.
func (r *Rulings) Extend(from, to int64) {
	if r == nil {
		return
	}
	if from > r.to || r.bySample == nil {
		r.from, r.bySample = from, map[rulingKey]*ruling{}
	}
	r.from, r.to = max(r.from, from-keepRulings), to
	maps.DeleteFunc(r.bySample, func(k rulingKey, _ *ruling) bool { return k.at <= r.from })
}

// Covers reports whether the samples of an instant are judged.
func (r *Rulings) Covers(at int64) bool { return r != nil && at > r.from && at <= r.to }

// at returns the ruling about a sample, and creates it if needed.
func (r *Rulings) at(series uint64, at int64) *ruling {
	key := rulingKey{series, at}
	if r.bySample[key] == nil {
		r.bySample[key] = &ruling{}
	}
	return r.bySample[key]
}

// add records what a sample counted. A plain increment needs no ruling.
func (r *Rulings) add(i Increment) {
	if r == nil {
		return
	}
	plain := i.Now.V - i.Last.V
	if i.Last.T == 0 {
		plain = 0
	}
	if i.Fell || i.Excused || i.Delta != plain || r.bySample[rulingKey{i.Raw.Key, i.Now.T}] != nil {
		x := r.at(i.Raw.Key, i.Now.T)
		x.delta, x.first, x.excused = i.Delta, i.Last.T == 0, x.excused || i.Excused
	}
}

// Excuses reports whether increase() may count a sample of a series differently.
func (r *Rulings) Excuses(series uint64, at int64) bool {
	found := r.bySample[rulingKey{series, at}]
	return found != nil && found.excused
}

// Obey counts a sample by the ruling about the whole. Without a ruling it counts the
// growth since the last sample.
func (e *Events) Obey(raw *RawSeries, last, x backend.Sample) float64 {
	r := e.Followed.bySample[rulingKey{raw.Key, x.T}]
	switch {
	case r == nil && last.T != 0, r != nil && r.first && last.T != 0:
		return max(0, x.V-last.V)
	case r == nil || !r.first && last.T == 0:
		return 0
	}
	for _, c := range r.claims {
		c.Raw = raw
		e.AddUnproven(c)
	}
	for _, f := range r.found {
		if f.kind == FindBirth {
			e.Births++
		}
		e.AddFinding(f.kind, raw, x.T, f.events)
	}
	return r.delta
}
