package spec

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/config/yamlfile"
	"github.com/slowburn-slo/slowburn/slo"
	"github.com/slowburn-slo/slowburn/slo/expr"
)

func parseLatency(v yamlfile.Value, _ []string) slo.Indicator {
	m := v.Map("histogram", "threshold", "unit")
	h := m.Require("histogram")
	l := slo.Latency{Histogram: expr.ParseSelector(h, "histogram")}
	parseBound(m, &l)
	if l.Histogram.IsZero() {
		return l
	}
	name := l.Histogram.Name()
	base := expr.HistogramSuffix.ReplaceAllString(name, "")
	switch {
	case name == "":
		h.Errorf("", "histogram needs a metric name")
	case base != name:
		h.Errorf("write "+base, "histogram is the name without _bucket, _count or _sum, found %s", name)
	}
	for _, matcher := range l.Histogram.Matchers() {
		if matcher.Name == labels.BucketLabel {
			h.Errorf("remove le; the threshold chooses the bucket", "histogram must not select by le")
		}
	}
	return l
}

// unitOf returns the unit in the last word of a histogram's name; ok is false where there is
// none. Units of other things than time have no length.
func unitOf(name string) (u slo.LatencyUnit, ok bool) {
	switch word := name[strings.LastIndexAny(name, "_.")+1:]; word {
	case "seconds", "second", "secs", "sec":
		return slo.LatencyUnits[0], true
	case "milliseconds", "millisecond", "millis", "msecs", "msec", "ms":
		return slo.LatencyUnits[1], true
	case "microseconds", "microsecond", "micros", "usecs", "usec", "us":
		return slo.LatencyUnits[2], true
	case "nanoseconds", "nanosecond", "nanos", "nsecs", "nsec", "ns":
		return slo.LatencyUnits[3], true
	case "minutes":
		return slo.LatencyUnit{Name: word, Length: time.Minute}, true
	case "hours":
		return slo.LatencyUnit{Name: word, Length: time.Hour}, true
	case "bytes", "ratio", "percent", "celsius":
		return slo.LatencyUnit{Name: word}, true
	}
	return slo.LatencyUnit{}, false
}

// parseUnit reads the unit of a histogram: that which is written, or that of the
// name. ok is false without either; it is seconds then, after Prometheus'
// conventions.
func parseUnit(v yamlfile.Value, l *slo.Latency) (u slo.LatencyUnit, ok bool) {
	name := l.Histogram.Name()
	named, known := unitOf(name)
	if !v.Present() {
		if !known {
			named = slo.LatencyUnits[0]
		}
		return named, known
	}
	l.UnitKey = v.OneOf("unit", "s", "ms", "us", "ns")
	for _, u = range slo.LatencyUnits {
		if u.Key != l.UnitKey {
			continue
		}
		if known && named.Length != u.Length {
			v.Warnf("remove unit, or write the one that the histogram has", "unit %s is not that of the name %s", l.UnitKey, name)
		}
		return u, true
	}
	return slo.LatencyUnits[0], true // after an error
}

// maxLatency is the longest threshold without a warning.
const maxLatency = 7 * 24 * time.Hour

// parseBound reads the threshold of a histogram: a duration, or a number in
// the histogram's own unit.
func parseBound(m yamlfile.Map, l *slo.Latency) {
	v := m.Require("threshold")
	unit, known := parseUnit(m.Get("unit"), l)
	if l.Text = v.Filled("threshold", "write a duration such as 300ms or 1.5s"); l.Text == "" {
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
