package counting

import (
	"maps"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
)

// The samples of an SLO that is split by labels are judged once, with all evidence of
// their targets. Its groups follow these rulings, so that they sum to the whole.

// ruling is what a sample counts that is more than a plain increment.
type ruling struct {
	first   bool // the series was not known before
	excused bool // increase() may count it otherwise
	delta   float64
	claims  []Unproven
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

// Rulings are those of the newest samples of a whole.
type Rulings struct {
	from, to int64 // after from and up to to, in milliseconds
	of       map[rulingKey]*ruling
}

// keepRulings is for how long they are kept, for groups that settle later than the
// whole, in milliseconds.
const keepRulings = 60 * 60_000

// Clone is a copy to go on with; nil of nil.
func (r *Rulings) Clone() *Rulings {
	if r == nil {
		return nil
	}
	return &Rulings{r.from, r.to, maps.Clone(r.of)}
}

// Extend makes room for the rulings of (from, to].
func (r *Rulings) Extend(from, to int64) {
	if r == nil {
		return
	}
	if from > r.to || r.of == nil {
		r.from, r.of = from, map[rulingKey]*ruling{}
	}
	r.from, r.to = max(r.from, from-keepRulings), to
	maps.DeleteFunc(r.of, func(k rulingKey, _ *ruling) bool { return k.at <= r.from })
}

// Covers reports whether the samples of an instant are judged.
func (r *Rulings) Covers(at int64) bool { return r != nil && at > r.from && at <= r.to }

// at is the ruling about a sample, made if there is none.
func (r *Rulings) at(series uint64, at int64) *ruling {
	key := rulingKey{series, at}
	if r.of[key] == nil {
		r.of[key] = &ruling{}
	}
	return r.of[key]
}

// Rule notes what a sample counted. A plain increment without more needs no ruling.
func (o *Events) Rule(raw *RawSeries, last, x backend.Sample, delta float64, more bool) {
	if o.Rulings == nil {
		return
	}
	plain := x.V - last.V
	if last.T == 0 {
		plain = 0
	}
	if more || delta != plain || o.Rulings.of[rulingKey{raw.Key, x.T}] != nil {
		r := o.Rulings.at(raw.Key, x.T)
		r.delta, r.first = delta, last.T == 0
	}
}

// Excuse notes that a sample that has a ruling may be counted otherwise by increase().
func (o *Events) Excuse(raw *RawSeries, at int64, excused bool) {
	if o.Rulings != nil && excused {
		o.Rulings.at(raw.Key, at).excused = true
	}
}

// Excuses reports whether a sample of a series may be counted otherwise by increase().
func (r *Rulings) Excuses(series uint64, at int64) bool {
	of := r.of[rulingKey{series, at}]
	return of != nil && of.excused
}

// Obey counts a sample as the whole's was ruled, or by what the series grew since the
// last one.
func (o *Events) Obey(raw *RawSeries, last, x backend.Sample) float64 {
	r := o.Follow.of[rulingKey{raw.Key, x.T}]
	switch {
	case r == nil && last.T != 0, r != nil && r.first && last.T != 0:
		return max(0, x.V-last.V)
	case r == nil || !r.first && last.T == 0:
		return 0
	}
	for _, c := range r.claims {
		c.Raw = raw
		o.Claim(c)
	}
	for _, f := range r.found {
		if f.kind == FindBirth {
			o.Births++
		}
		o.Find(f.kind, raw, x.T, f.events)
	}
	return r.delta
}
