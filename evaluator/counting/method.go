// Package counting contains what all ways to count share: the interface Method, the
// series that are read, the events found in them with their evidence, and the samples of
// histograms. The packages counters and gauges below it implement the ways. It reads
// nothing.
package counting

import "github.com/slowburn-slo/slowburn/evaluator/timeline"

// Method turns samples into events per slot. It remembers the last samples, so that no
// increase is lost between two reads.
type Method interface {
	// Feed counts the samples of (from, to] into slots.
	Feed(batch []RawSeries, from, to timeline.Minute) *Events
	// Clone returns a copy. Unsettled samples are counted on a copy, because more may
	// come late.
	Clone() Method
	// Forget removes series without a sample since an instant. Times are in milliseconds.
	Forget(now, before int64)
	// Interval returns the usual time between two scrapes, in milliseconds; 0 if it is
	// unknown.
	Interval() int64
	// Hold returns the instant up to which slots can be settled.
	Hold(batch []RawSeries, end, settled timeline.Minute) timeline.Minute
}

// Role names the events that the increments of a series count. Roles can be combined.
type Role uint8

// The roles of a series.
const (
	RoleGood Role = 1 << iota
	RoleBad
	RoleTotal
)

// EachMinute is the part of a Method that has its samples at the ends of slots.
type EachMinute struct{}

// Interval implements Method.
func (EachMinute) Interval() int64 { return 60_000 }

// Hold implements Method.
func (EachMinute) Hold(_ []RawSeries, _, settled timeline.Minute) timeline.Minute { return settled }

// Hold returns the instant up to which slots can be settled if samples come late. newest
// contains the times of the last samples of series or targets. usual returns the usual
// time between two, or 0 if it is unknown. If less than a tenth of them are late, they
// count as gone.
func Hold[K comparable](newest map[K]int64, usual func(K) int64, end, settled timeline.Minute) timeline.Minute {
	all, late := 0, 0
	earliest := settled
	for key, last := range newest {
		between := usual(key)
		// A series that is this late is gone. It is not waited for.
		if gone := max(MaxLag.Millis(), timeline.TwoIntervals(between)); last <= end.Millis()-gone {
			continue
		}
		all++
		// This is the earliest time of the next sample.
		if due := timeline.Minute((last + between*9/10) / 60_000); between != 0 && due < settled {
			late++
			earliest = min(earliest, due)
		}
	}
	if late*10 < all {
		return settled
	}
	return earliest
}
