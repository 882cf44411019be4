package counting

import (
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
