package counters

import (
	"maps"
	"math"
	"slices"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// cursor iterates over the samples of a series. S is the state of a series.
type cursor[S any] struct {
	raw     *counting.RawSeries
	samples []backend.Sample // the rest
	now     backend.Sample   // the current one, with its value rounded
	state   *S               // before it
}

// eachTarget calls f with the samples of (from, to], by target, in the order of targets.
func eachTarget[S any](batch []counting.RawSeries, from, to timeline.Minute, f func(target string, cursors []cursor[S])) {
	byTarget := map[string][]cursor[S]{}
	for i := range batch {
		s := &batch[i]
		if samples := backend.Between(s.Samples, from.Millis(), to.Millis()); len(samples) > 0 {
			byTarget[s.Target] = append(byTarget[s.Target], cursor[S]{raw: s, samples: samples})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byTarget)) {
		f(key, byTarget[key])
	}
}

// eachInstant calls f for each instant of samples, in order, with the cursors that have
// one.
func eachInstant[S any](cursors []cursor[S], f func(now int64, together []*cursor[S])) {
	var together []*cursor[S]
	for {
		now := int64(math.MaxInt64)
		together = together[:0]
		for i := range cursors {
			c := &cursors[i]
			if len(c.samples) == 0 || c.samples[0].T > now {
				continue
			}
			if c.samples[0].T < now {
				now, together = c.samples[0].T, together[:0]
			}
			together = append(together, c)
		}
		if len(together) == 0 {
			return
		}
		for _, c := range together {
			c.now = backend.Sample{T: now, V: timeline.Rounded(c.samples[0].V)}
			c.samples = c.samples[1:]
		}
		f(now, together)
	}
}

// basisOf returns the basis of counters. Other methods have none, and ignore it.
func basisOf(m counting.Method) *counting.Basis {
	switch m := m.(type) {
	case *Raw:
		return &m.Basis
	case *Targets:
		return &m.Basis
	}
	return &counting.Basis{}
}

// GiveStarts passes start times to counters before they are fed.
func GiveStarts(m counting.Method, s counting.Starts) { basisOf(m).Starts = s }

// Prepare sets the recorder of counters; nil for none. If they judge for groups, they
// write rulings.
func Prepare(m counting.Method, recorder *counting.Recorder, judges bool) {
	b := basisOf(m)
	b.Recorder = recorder
	if b.Rulings == nil && judges {
		b.Rulings = &counting.Rulings{}
	}
}

// Follow makes counters follow, in the next feed, the rulings of the counters of the
// whole. Both must be of the same type.
func Follow(m, whole counting.Method) { basisOf(m).Followed = basisOf(whole).Rulings }
