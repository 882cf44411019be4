package mismatch

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/slowburn-slo/slowburn/evaluator/backend"
	"github.com/slowburn-slo/slowburn/slo"
)

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
	return backend.MismatchError{Message: fmt.Sprintf("%s gives %s, which is no time in seconds since 1970", query, text), Hint: ""}, true
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
