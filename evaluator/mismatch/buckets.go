package mismatch

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo"
)

// BoundsOf returns the boundaries of texts, ascending.
func BoundsOf(texts []string) []float64 {
	var out []float64
	for _, text := range texts {
		if le, err := strconv.ParseFloat(text, 64); err == nil {
			out = append(out, le)
		}
	}
	slices.Sort(out)
	return slices.CompactFunc(out, slo.SameBound)
}

// BucketFault returns why a histogram with these boundaries, ascending, can't show which
// observations are slower than the threshold.
func BucketFault(l slo.Latency, bounds []float64) (backend.MismatchError, bool) {
	if fault, ok := UnitFault(l, bounds); ok {
		return fault, true
	}
	same := func(bound float64) bool { return slo.SameBound(bound, l.Threshold) }
	switch {
	case len(bounds) == 0:
		return backend.MismatchError{Message: fmt.Sprintf("%s has a count and no buckets: nobody knows how many observations were slow", l.Histogram),
			Hint: "let the program publish a histogram; a summary or a timer has quantiles and sums only"}, true
	case !slices.ContainsFunc(bounds, same):
		return backend.MismatchError{Message: NearestBounds(l, bounds)}, true
	}
	return backend.MismatchError{}, false
}

// FiniteBounds returns boundaries, ascending, without +Inf.
func FiniteBounds(bounds []float64) []float64 {
	if n := len(bounds); n > 0 && math.IsInf(bounds[n-1], 1) {
		return bounds[:n-1]
	}
	return bounds
}

// longSeconds is a bound in seconds. Few histograms of seconds reach beyond it, those of
// milliseconds do.
const longSeconds = 600

// UnitFault returns an error if the unit of a histogram is unknown: the SLO does not
// contain it, its name does not, and its buckets are too large for seconds.
func UnitFault(l slo.Latency, bounds []float64) (backend.MismatchError, bool) {
	finite := FiniteBounds(bounds)
	if !l.Assumed || len(finite) == 0 || finite[len(finite)-1] <= longSeconds {
		return backend.MismatchError{}, false
	}
	last := finite[len(finite)-1]
	unit := slo.LatencyUnits[1]
	for _, u := range slo.LatencyUnits[1:] {
		if unit = u; last*u.Length.Seconds() <= (2 * time.Hour).Seconds() {
			break
		}
	}
	seconds, other := strconv.FormatFloat(l.Threshold, 'g', -1, 64), strconv.FormatFloat(l.Threshold/unit.Length.Seconds(), 'g', 10, 64)
	return backend.MismatchError{Message: fmt.Sprintf("is %s in seconds or in %s? Neither its name nor a unit says it, and its buckets reach to %s: threshold %s is %s or %s",
		l.Histogram, unit.Name, slo.BoundText(last), l.Text, seconds, other),
		Hint: fmt.Sprintf("write unit: %s beside the threshold, or unit: s", unit.Key)}, true
}

// NearestBounds describes the boundaries around a threshold that is not one.
func NearestBounds(l slo.Latency, bounds []float64) string {
	i, _ := slices.BinarySearch(bounds, l.Threshold)
	below, above := "", ""
	if i > 0 {
		below = Boundary(l, bounds[i-1])
	}
	if i < len(bounds) && !math.IsInf(bounds[i], 1) {
		above = Boundary(l, bounds[i])
	}
	text := fmt.Sprintf("threshold %s is no bucket of %s: ", l.Text, l.Histogram)
	switch {
	case below == "" && above == "":
		return text + "it has none but +Inf"
	case below == "" || above == "":
		return text + "the nearest is " + below + above
	}
	return text + "the nearest are " + below + " and " + above
}

// Boundary returns a boundary in the format of the threshold: a duration, or a number in
// the histogram's unit.
func Boundary(l slo.Latency, le float64) string {
	d, err := time.ParseDuration(l.Text)
	if err != nil {
		m, _ := model.ParseDuration(l.Text)
		d = time.Duration(m)
	}
	if _, err := strconv.ParseFloat(l.Text, 64); err == nil || d == 0 || l.Threshold == 0 {
		return strconv.FormatFloat(le, 'g', -1, 64)
	}
	return time.Duration(math.Round(le * (float64(d) / l.Threshold))).String()
}
