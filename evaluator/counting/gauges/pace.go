package gauges

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
)

// Pace is how often the samples come, in an hour, whose newest values an expression
// takes. A backend has the value of a sample for 5 minutes, or until a scrape finds its
// series gone. Of what may come later than that the last sample of twice the usual time
// is asked for, so that its value is there until the next one.
type Pace struct {
	Hour timeline.Minute // its beginning
	Expr string          // what is asked

	Dense bool  // all of them come so often that what is not there is gone
	Usual int64 // the longest usual time between samples that may come later, in milliseconds; 0 for none
	Often int64 // the shortest usual time of all: how often the values are new, in milliseconds; 0 for unknown
}

// Hourly is the time that a Pace is of, in minutes.
const Hourly timeline.Minute = 60

const (
	// Densest is the longest usual time between samples of which two are within the
	// lookback, in milliseconds.
	Densest = counting.Lookback * 10 / 21
)

// HourOf is the beginning of the hour of an instant.
func HourOf(m timeline.Minute) timeline.Minute { return m - (m%Hourly+Hourly)%Hourly }

// PaceAt is the pace of the slot that ends at an instant, the zero pace where it is
// not known.
func PaceAt(all []Pace, end timeline.Minute) Pace {
	i, found := slices.BinarySearchFunc(all, HourOf(end), func(p Pace, hour timeline.Minute) int { return cmp.Compare(p.Hour, hour) })
	if !found {
		return Pace{}
	}
	return all[i]
}

// PaceNote says how values last, by the newest of paces; "" where each is there for 5
// minutes.
func PaceNote(paces []Pace) string {
	if len(paces) == 0 || paces[len(paces)-1].Usual == 0 {
		return ""
	}
	usual := paces[len(paces)-1].Usual
	return fmt.Sprintf("samples come each %s: a value lasts until the next sample, for at most %s", minutesText(usual), minutesText(timeline.TwoIntervals(usual)))
}

func minutesText(millis int64) string {
	return model.Duration((time.Duration(millis) * time.Millisecond).Round(time.Minute)).String()
}
