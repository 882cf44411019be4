package slo

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Indicator is what an SLO measures: one value per kind, with all that differs
// between the kinds.
type Indicator interface {
	// Kind is the key under "sli:" in the SLO file.
	Kind() string
	// Counters are the counters that hold the events.
	Counters() Counters
}

// Counters are selectors of counters of events. Exactly two of them are set;
// the third follows, with total = good + bad.
type Counters struct {
	Good, Bad, Total Selector
}

// Events is the indicator that counts increments of counters.
type Events struct {
	Selectors Counters
}

// Kind implements Indicator.
func (Events) Kind() string { return "events" }

// Counters implements Indicator.
func (e Events) Counters() Counters { return e.Selectors }

// Latency is the indicator that counts the observations of a classic histogram
// that took at most Threshold as good.
type Latency struct {
	Histogram Selector // the histogram's name, without _bucket or _count
	Threshold time.Duration
}

// Kind implements Indicator.
func (Latency) Kind() string { return "latency" }

// Counters implements Indicator: good is the bucket at the threshold, total is
// the histogram's count.
func (l Latency) Counters() Counters {
	le := strconv.FormatFloat(l.Threshold.Seconds(), 'f', -1, 64)
	bucket := l.Histogram.suffixed("_bucket")
	if strings.Contains(le, ".") {
		bucket = bucket.With(labels.MustNewMatcher(labels.MatchEqual, "le", le))
	} else {
		// Prometheus 2 wrote le="1" as it was exposed, 3 writes le="1.0".
		bucket = bucket.With(labels.MustNewMatcher(labels.MatchRegexp, "le", le+`(\.0)?`))
	}
	return Counters{Good: bucket, Total: l.Histogram.suffixed("_count")}
}

// Buckets selects all buckets of the histogram, whatever their boundary.
func (l Latency) Buckets() Selector { return l.Histogram.suffixed("_bucket") }

// Selector is a bare PromQL selector of series. The zero value selects nothing
// and is not set.
type Selector struct {
	matchers []*labels.Matcher
}

// NewSelector makes a selector of matchers, one of which should be the name's.
func NewSelector(matchers ...*labels.Matcher) Selector { return Selector{matchers} }

// IsZero reports whether the selector is not set.
func (s Selector) IsZero() bool { return len(s.matchers) == 0 }

// Matchers are the selector's matchers, the name's among them.
func (s Selector) Matchers() []*labels.Matcher { return s.matchers }

// Name is the metric's name, or "" when no equality matcher names it.
func (s Selector) Name() string {
	for _, m := range s.matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// With is the selector with more matchers.
func (s Selector) With(more ...*labels.Matcher) Selector {
	return Selector{append(append([]*labels.Matcher{}, s.matchers...), more...)}
}

// More reports whether the series that other selects are among those that s
// does, because it has all of its matchers, and gives the matchers that it has
// beyond them.
func (s Selector) More(other Selector) (more []*labels.Matcher, ok bool) {
	same := func(m *labels.Matcher) func(*labels.Matcher) bool {
		return func(o *labels.Matcher) bool { return o.Type == m.Type && o.Name == m.Name && o.Value == m.Value }
	}
	for _, m := range s.matchers {
		if !slices.ContainsFunc(other.matchers, same(m)) {
			return nil, false
		}
	}
	for _, m := range other.matchers {
		if !slices.ContainsFunc(s.matchers, same(m)) {
			more = append(more, m)
		}
	}
	return more, true
}

func (s Selector) suffixed(suffix string) Selector {
	out := make([]*labels.Matcher, 0, len(s.matchers)+1)
	for _, m := range s.matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			m = labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, m.Value+suffix)
		}
		out = append(out, m)
	}
	return Selector{out}
}

// String is the selector as PromQL.
func (s Selector) String() string { return s.vector(0).String() }

// Offset is the selector d in the past, as PromQL.
func (s Selector) Offset(d time.Duration) string { return s.vector(d).String() }

// Range is the selector over the last d, as PromQL.
func (s Selector) Range(d time.Duration) string {
	return (&parser.MatrixSelector{VectorSelector: s.vector(0), Range: d}).String()
}

func (s Selector) vector(offset time.Duration) *parser.VectorSelector {
	return &parser.VectorSelector{Name: s.Name(), LabelMatchers: s.matchers, OriginalOffset: offset}
}
