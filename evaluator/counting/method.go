package counting

import (
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Method turns samples into events per slot, and remembers the last ones, so that
// no delta is lost between two reads.
type Method interface {
	// Feed counts the samples of (from, to] into slots.
	Feed(batch []RawSeries, from, to timeline.Minute) *Events
	// Clone is a copy to try unsettled samples on: what has not come may be late.
	Clone() Method
	// Forget drops what had no sample since an instant, in milliseconds.
	Forget(now, before int64)
	// Interval is the usual time between two scrapes, in milliseconds; 0 when
	// it isn't known.
	Interval() int64
	// Hold is the instant up to which slots can be settled at an end.
	Hold(batch []RawSeries, end, settled timeline.Minute) timeline.Minute
}
