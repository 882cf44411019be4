// Package gauges counts values that are not counters: states of probes, values of
// expressions, times of job runs, recorded increments and rates. It reads nothing.
package gauges

import (
	"maps"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// series is the state of a series. own is that of one way to count.
type series[T any] struct {
	last int64 // time of the last sample, in milliseconds; 0 before the first
	gaps counting.Gaps
	own  T
}

// seriesMap contains series by their keys.
type seriesMap[T any] map[uint64]*series[T]

// get returns the state of a series, which may be new.
func (m seriesMap[T]) get(key uint64) *series[T] {
	if m[key] == nil {
		m[key] = &series[T]{}
	}
	return m[key]
}

func (m seriesMap[T]) clone() seriesMap[T] {
	out := make(seriesMap[T], len(m))
	for key, s := range m {
		copied := *s
		out[key] = &copied
	}
	return out
}

// forget drops the series without a sample since a time.
func (m seriesMap[T]) forget(since int64) {
	maps.DeleteFunc(m, func(_ uint64, s *series[T]) bool { return s.last < since })
}

// interval returns the smallest of the usual intervals; 0 if none is known.
func (m seriesMap[T]) interval() int64 {
	least := int64(0)
	for _, s := range m {
		if between := s.gaps.Interval(); between > 0 && (least == 0 || between < least) {
			least = between
		}
	}
	return least
}

// hold returns the instant up to which slots can be settled.
func (m seriesMap[T]) hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	newest := map[uint64]int64{}
	for key, s := range m {
		newest[key] = s.last
	}
	for i := range batch {
		if n := len(batch[i].Samples); n > 0 {
			newest[batch[i].Key] = max(newest[batch[i].Key], batch[i].Samples[n-1].T)
		}
	}
	w := counting.Waiting{End: end.Millis()}
	for key, last := range newest {
		usual := int64(0)
		if s := m[key]; s != nil {
			usual = s.gaps.Interval()
		}
		w.Add(last, usual, settled)
	}
	return w.Hold(settled)
}
