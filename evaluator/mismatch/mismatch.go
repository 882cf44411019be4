// Package mismatch finds what in a metric does not fit an SLO: bounds and units of buckets,
// other texts of a bound, values that are no times. Its functions query nothing. It imports
// evaluator/backend and slo.
package mismatch

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

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
		return backend.MismatchError{Message: fmt.Sprintf("%s has a count and no buckets: the number of slow observations is unknown", l.Histogram),
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
	text := fmt.Sprintf("threshold %s is not a bucket boundary of %s: ", l.Text, l.Histogram)
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

// TimeFault returns an error if none of the values is the time of a last success, in
// seconds since the epoch. 0 is a job that never succeeded.
func TimeFault(query string, values []float64, now time.Time) (backend.MismatchError, bool) {
	values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v == 0 || math.IsNaN(v) })
	if len(values) == 0 {
		return backend.MismatchError{}, false
	}
	v := slices.Max(values)
	text := strconv.FormatFloat(v, 'f', -1, 64)
	at := float64(now.Unix())
	isTime := func(seconds float64) bool {
		return seconds > at-slo.MaxWindow.Duration().Seconds()*20 && seconds <= at+slo.Ahead.Seconds()
	}
	if slices.ContainsFunc(values, isTime) {
		return backend.MismatchError{}, false
	}
	for _, u := range []struct {
		name, form string
		seconds    float64
	}{
		{"milliseconds", "(%s) / 1000", 1e-3}, {"microseconds", "(%s) / 1e6", 1e-6}, {"nanoseconds", "(%s) / 1e9", 1e-9},
		{"minutes", "60 * (%s)", 60}, {"hours", "3600 * (%s)", 3600}, {"days", "86400 * (%s)", 86400},
	} {
		if isTime(v * u.seconds) {
			return backend.MismatchError{Message: fmt.Sprintf("%s gives %s, which is a time in %s, not in seconds", query, text, u.name), Hint: "write " + fmt.Sprintf(u.form, query)}, true
		}
	}
	if v > 0 && v < slo.MaxWindow.Duration().Seconds()*20 {
		return backend.MismatchError{Message: fmt.Sprintf("%s gives %s, which is an age, not a time: as a time it is of 1970", query, text), Hint: "write time() - (" + query + ")"}, true
	}
	if v > at && v < 2*at {
		return backend.MismatchError{Message: fmt.Sprintf("%s gives %s, which is in the future", query, time.Unix(int64(v), 0).UTC().Format(time.RFC3339)),
			Hint: "it must be the time of the last success; check the clock of the program that reports it"}, true
	}
	return backend.MismatchError{Message: fmt.Sprintf("%s gives %s, which is not a time in seconds since 1970", query, text), Hint: ""}, true
}

// NumbersOf returns the values of an answer.
func NumbersOf(answer []backend.Series) (out []float64) {
	for _, v := range answer {
		for _, s := range v.Samples {
			out = append(out, s.V)
		}
	}
	return out
}

// DropMatchers returns a selector without its matchers of a label.
func DropMatchers(s slo.Selector, name string) slo.Selector {
	return slo.NewSelector(slices.DeleteFunc(slices.Clone(s.Matchers()), func(m *labels.Matcher) bool { return m.Name == name })...)
}

// MatcherOf returns the first matcher of a label.
func MatcherOf(s slo.Selector, name string) *labels.Matcher {
	i := slices.IndexFunc(s.Matchers(), func(m *labels.Matcher) bool { return m.Name == name })
	return s.Matchers()[i]
}

// matchesAll reports whether all matchers of a label match a text.
func matchesAll(s slo.Selector, name, text string) bool {
	return !slices.ContainsFunc(s.Matchers(), func(m *labels.Matcher) bool { return m.Name == name && !m.Matches(text) })
}

// Alternatives returns the matcher of a label with more texts.
func Alternatives(name string, s slo.Selector, more []string) string {
	m := MatcherOf(s, name)
	pattern := m.Value
	if m.Type == labels.MatchEqual {
		pattern = quotedForPattern(pattern)
	}
	for _, text := range more {
		pattern += "|" + quotedForPattern(text)
	}
	return name + `=~"` + pattern + `"`
}

// quotedForPattern returns a pattern that matches a text, in a form that needs no escapes
// in PromQL or YAML.
func quotedForPattern(text string) string {
	return strings.NewReplacer(`\.`, "[.]", `\+`, "[+]").Replace(regexp.QuoteMeta(text))
}

// Spellings returns the texts of the bound that a selector selects, and those of them
// that it does not match.
func Spellings(s slo.Selector, texts []string) (same, missed []string) {
	bound, _ := s.Bound()
	for _, text := range texts {
		if v, err := strconv.ParseFloat(text, 64); err == nil && slo.SameBound(v, bound) {
			same = append(same, text)
			if !matchesAll(s, labels.BucketLabel, text) {
				missed = append(missed, text)
			}
		}
	}
	return same, missed
}

// TextsOf returns the values of a label in an answer, in order.
func TextsOf(answer []backend.Series, name string) (out []string) {
	for _, row := range answer {
		if text := row.Labels[name]; text != "" {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}
