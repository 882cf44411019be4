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

// Pace describes how often the samples come whose newest values an expression uses, in an
// hour. A backend returns the value of a sample for 5 minutes, or until a scrape finds
// its series gone. If samples may come later than that, the query uses the last sample of
// twice the usual time. So a value lasts until the next one.
type Pace struct {
	Hour timeline.Minute // beginning of the hour
	Expr string          // query with longer ranges where needed

	Dense bool  // all samples come so often that a missing value is gone
	Usual int64 // longest usual time between samples that may come later than the lookback, in milliseconds; 0 for none
	Often int64 // shortest usual time of all, in milliseconds; 0 if unknown
}

// Hourly is the length of the time that a Pace describes, in minutes.
const Hourly timeline.Minute = 60

const (
	// Densest is the longest usual time between samples of which two are within the
	// lookback, in milliseconds.
	Densest = counting.Lookback * 10 / 21
)

// HourOf returns the beginning of the hour of an instant.
func HourOf(m timeline.Minute) timeline.Minute { return m - (m%Hourly+Hourly)%Hourly }

// PaceAt returns the pace of the slot that ends at an instant, or the zero Pace if it is
// unknown.
func PaceAt(all []Pace, end timeline.Minute) Pace {
	i, found := slices.BinarySearchFunc(all, HourOf(end), func(p Pace, hour timeline.Minute) int { return cmp.Compare(p.Hour, hour) })
	if !found {
		return Pace{}
	}
	return all[i]
}

// PaceNote describes how long values last, by the newest of paces. It returns "" if each
// lasts 5 minutes.
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
