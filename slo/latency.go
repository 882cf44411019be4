package slo

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
)

// histogramSuffix is what the names of a classic histogram's series end in.
var histogramSuffix = regexp.MustCompile(`_(bucket|count|sum)$`)

func parseLatency(v yamlfile.Value, _ []string) Indicator {
	m := v.Map("histogram", "threshold", "unit")
	h := m.Require("histogram")
	l := Latency{Histogram: parseSelector(h, "histogram")}
	parseBound(m, &l)
	if l.Histogram.IsZero() {
		return l
	}
	name := l.Histogram.Name()
	base := histogramSuffix.ReplaceAllString(name, "")
	switch {
	case name == "":
		h.Errorf("", "histogram needs a metric name")
	case base != name:
		h.Errorf("write "+base, "histogram is the name without _bucket, _count or _sum, found %s", name)
	}
	for _, matcher := range l.Histogram.Matchers() {
		if matcher.Name == labels.BucketLabel {
			h.Errorf("leave le away; the threshold chooses the bucket", "histogram must not select by le")
		}
	}
	return l
}

// LatencyUnit is a unit of time that a histogram may be in.
type LatencyUnit struct {
	Key, Name string // "ms", "milliseconds"
	Length    time.Duration
}

// LatencyUnits are the units that SLO files can name, the longest first.
var LatencyUnits = []LatencyUnit{
	{"s", "seconds", time.Second}, {"ms", "milliseconds", time.Millisecond},
	{"us", "microseconds", time.Microsecond}, {"ns", "nanoseconds", time.Nanosecond},
}

// unitOf is the unit that the name of a histogram says; ok is false where it says
// none. Those that are none of time have no length.
func unitOf(name string) (u LatencyUnit, ok bool) {
	for _, u := range []struct {
		suffixes string
		unit     LatencyUnit
	}{
		{"seconds second secs sec", LatencyUnits[0]},
		{"milliseconds millisecond millis msecs msec ms", LatencyUnits[1]},
		{"microseconds microsecond micros usecs usec us", LatencyUnits[2]},
		{"nanoseconds nanosecond nanos nsecs nsec ns", LatencyUnits[3]},
		{"minutes", LatencyUnit{Name: "minutes", Length: time.Minute}}, {"hours", LatencyUnit{Name: "hours", Length: time.Hour}},
	} {
		for suffix := range strings.FieldsSeq(u.suffixes) {
			if endsIn(name, suffix) {
				return u.unit, true
			}
		}
	}
	for suffix := range strings.FieldsSeq("bytes ratio percent celsius") {
		if endsIn(name, suffix) {
			return LatencyUnit{Name: suffix}, true
		}
	}
	return LatencyUnit{}, false
}

// endsIn reports whether the last word of a name is the one given.
func endsIn(name, word string) bool {
	rest, ok := strings.CutSuffix(name, word)
	return ok && (rest == "" || strings.HasSuffix(rest, "_") || strings.HasSuffix(rest, "."))
}

// parseUnit reads the unit of a histogram: that which is written, or that of the
// name. ok is false where nothing says one; it is seconds then, after Prometheus'
// conventions.
func parseUnit(v yamlfile.Value, l *Latency) (u LatencyUnit, ok bool) {
	name := l.Histogram.Name()
	named, known := unitOf(name)
	if !v.Present() {
		if !known {
			named = LatencyUnits[0]
		}
		return named, known
	}
	l.Unit = oneOf(v, "unit", "s", "ms", "us", "ns")
	for _, u = range LatencyUnits {
		if u.Key != l.Unit {
			continue
		}
		if known && named.Length != u.Length {
			v.Warnf("leave unit away, or write the one that the histogram has", "unit %s is not that of the name %s", l.Unit, name)
		}
		return u, true
	}
	return LatencyUnits[0], true // after an error
}

// maxLatency is the longest threshold without a warning.
const maxLatency = 7 * 24 * time.Hour

// parseBound reads the threshold of a histogram: a duration, or a number in
// the histogram's own unit.
func parseBound(m yamlfile.Map, l *Latency) {
	v := m.Require("threshold")
	unit, known := parseUnit(m.Get("unit"), l)
	l.Text = v.Text()
	if l.Text == "" {
		if v.IsScalar() && v.Present() {
			v.Errorf("write a duration such as 300ms or 1.5s", "threshold is empty")
		}
		return
	}
	if n, err := strconv.ParseFloat(l.Text, 64); err == nil {
		switch {
		case math.IsNaN(n) || math.IsInf(n, 0) || n <= 0:
			v.Errorf("write a duration such as 300ms, or a number in the histogram's unit", "threshold %q is not positive", l.Text)
			return
		case known && unit.Length >= time.Second && n*unit.Length.Seconds() >= 100:
			v.Warnf("did you mean "+l.Text+"ms? A number without a unit is in that of the histogram", "threshold %s is %s %s", l.Text, l.Text, unit.Name)
		}
		l.Threshold = n
		return
	}
	d, err := duration(l.Text)
	switch {
	case err != nil || d <= 0:
		v.Errorf("write a duration such as 300ms or 1.5s", "threshold %q is not a positive duration", l.Text)
		l.Text = ""
		return
	case unit.Length == 0:
		v.Errorf("write a number in the histogram's unit", "threshold %s is a duration, and %s is in %s", l.Text, l.Histogram.Name(), unit.Name)
		return
	case d < time.Microsecond:
		v.Warnf("", "threshold %s is less than any clock tells", l.Text)
	case d > maxLatency:
		v.Warnf("a run of a job that did not come in time is an SLO of runs or of freshness", "threshold %s is longer than histograms reach", l.Text)
	}
	l.Threshold, l.Assumed = float64(d)/float64(unit.Length), !known
}
