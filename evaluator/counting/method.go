// Package counting contains what all ways to count share: the interface Method, the
// series that are read, the events found in them with their evidence, and the samples of
// histograms. The packages counters and gauges below it implement the ways. It reads
// nothing.
package counting

import (
	"math"

	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

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

// Waiting finds the instant up to which slots can be settled if samples come late.
type Waiting struct {
	End      int64
	all      int
	late     int
	earliest timeline.Minute
}

// Add adds a series or a target. last is the time of its last sample, and usual the usual
// time between two, or 0 if it is unknown.
func (w *Waiting) Add(last, usual int64, settled timeline.Minute) {
	// A series that is this late is gone. It is not waited for.
	if gone := max(MaxLag.Millis(), timeline.TwoIntervals(usual)); last <= w.End-gone {
		return
	}
	w.all++
	if usual == 0 {
		return
	}
	if w.late == 0 {
		w.earliest = math.MaxInt64
	}
	// This is the earliest time of the next sample.
	if due := timeline.Minute((last + usual*9/10) / 60_000); due < settled {
		w.late++
		w.earliest = min(w.earliest, due)
	}
}

// Hold returns the instant up to which slots can be settled. If less than a tenth of the
// series are late, they count as gone.
func (w *Waiting) Hold(settled timeline.Minute) timeline.Minute {
	if w.late == 0 || w.late*10 < w.all {
		return settled
	}
	return w.earliest
}
