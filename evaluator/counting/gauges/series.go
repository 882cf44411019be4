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

// Interval returns the smallest of the usual intervals; 0 if none is known.
func (m seriesMap[T]) Interval() int64 {
	return counting.LeastInterval(func(yield func(*counting.Gaps) bool) {
		for _, s := range m {
			yield(&s.gaps)
		}
	})
}

// Hold returns the instant up to which slots can be settled.
func (m seriesMap[T]) Hold(batch []counting.RawSeries, end, settled timeline.Minute) timeline.Minute {
	newest := map[uint64]int64{}
	for key, s := range m {
		newest[key] = s.last
	}
	for i := range batch {
		if n := len(batch[i].Samples); n > 0 {
			newest[batch[i].Key] = max(newest[batch[i].Key], batch[i].Samples[n-1].T)
		}
	}
	return counting.Hold(newest, func(key uint64) int64 {
		if s := m[key]; s != nil {
			return s.gaps.Interval()
		}
		return 0
	}, end, settled)
}

// tick marks the slot of a sample as known, and the time since the last one if it is near
// enough, unless only samples of other roles were read.
func (s *series[T]) tick(now int64, clock bool, out *counting.Events) {
	since := now - s.last
	if clock {
		if s.last != 0 && since <= s.gaps.Limit() {
			out.MarkKnown(timeline.SlotEnd(s.last-s.gaps.FirstGap(since)+1)-1, timeline.SlotEnd(now))
		}
		out.MarkKnown(timeline.SlotEnd(now)-1, timeline.SlotEnd(now))
		out.SeeClock(now)
	}
	if s.last != 0 && since > 0 {
		s.gaps.Push(since)
	}
	s.last = max(s.last, now)
}
