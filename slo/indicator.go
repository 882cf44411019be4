package slo

import (
	"cmp"
	"math"
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
	// Measure is how the events are got from a backend.
	Measure() Measure
	// Fields are what the SLO file says of it, for people to read.
	Fields() []Field
}

// Field is a key of an SLO file and its value.
type Field struct{ Key, Text string }

// Measure is a way of getting events from a backend: Counters, Increments, States,
// Levels, Runs, Rates or Parts.
type Measure interface{ measure() }

// Counters are counters of events. Exactly two of them are set; the third
// follows, with total = good + bad.
type Counters struct {
	Good, Bad, Total Counter
	Native           *Native // the native histograms that hold good and total too
}

// Increments are gauges of which each sample is the number of events since the sample
// before it. Two of Good, Bad and Total are set.
type Increments struct {
	Good, Bad, Total Counter
	PerSecond        bool // a sample is that number per second instead
}

// Counter is a sum of counters, each counted Weight times.
type Counter []Term

// Term is a selector of counters in a sum of them.
type Term struct {
	Selector Selector
	Weight   float64
}

// NewCounter counts what a selector selects.
func NewCounter(s Selector) Counter { return Counter{{s, 1}} }

// IsZero reports whether nothing is counted.
func (c Counter) IsZero() bool { return len(c) == 0 }

// Plain is the selector of a counter that is one selector counted once.
func (c Counter) Plain() (Selector, bool) {
	if len(c) == 1 && c[0].Weight == 1 {
		return c[0].Selector, true
	}
	return Selector{}, false
}

// String is the counter as a sum of selectors.
func (c Counter) String() string { return c.Sum(Selector.String) }

// Sum is the counter with its selectors in a form.
func (c Counter) Sum(form func(Selector) string) string {
	var b strings.Builder
	for i, t := range c {
		switch {
		case i > 0 && t.Weight < 0:
			b.WriteString(" - ")
		case i > 0:
			b.WriteString(" + ")
		case t.Weight < 0:
			b.WriteString("-")
		}
		if w := math.Abs(t.Weight); w != 1 {
			b.WriteString(strconv.FormatFloat(w, 'g', -1, 64) + " * ")
		}
		b.WriteString(form(t.Selector))
	}
	return b.String()
}

// Native are native histograms whose buckets tell how many observations took at
// most Threshold.
type Native struct {
	Histogram Selector
	Threshold float64 // in the histogram's unit
}

// States are 0/1 gauges: each series has one event in each slot with samples, a
// bad one when any of them is 0.
type States struct {
	Gauge  Selector
	Absent bool // a series that is gone goes on with bad events for a time
}

// Levels are the values of an expression at the end of each slot. A slot is one
// event, a bad one unless all values are good.
type Levels struct {
	Query    string
	Good     func(at time.Time, v float64) bool
	Possible func(at time.Time, v float64) bool // nil where any value is; others are no values
	Remember time.Duration                      // for how long a series that is gone goes on with its last value
	Absent   bool                               // a slot without values is bad as long as there were some within a time
}

// Runs are runs of jobs, of which an expression gives the time of the last
// success. Each new time is a good event; a bad one is each Every that passes
// after a success without another, at its end and Grace.
type Runs struct {
	LastSuccess  string
	Every, Grace time.Duration
}

// Rates are expressions that give numbers of events, as they are at the end of
// each slot. Two of Good, Bad and Total are set.
type Rates struct{ Good, Bad, Total Rate }

// Rate is an expression over a range that ends with the slot.
type Rate struct {
	Query    string
	Factor   float64 // from its value to events in a slot
	Text     string  // what the SLO file says
	Obstacle string  // the part of Text because of which its counters can't be counted; "" when they could
}

// Obstacle is the first part of the numbers because of which they are estimated.
func (r Rates) Obstacle() string { return cmp.Or(r.Good.Obstacle, r.Bad.Obstacle, r.Total.Obstacle) }

// Parts are SLOs of which a slot of any makes a slot bad.
type Parts []*SLO

func (Counters) measure() {}

func (Increments) measure() {}

func (States) measure() {}

func (Levels) measure() {}

func (Runs) measure() {}

func (Rates) measure() {}

func (Parts) measure() {}

// Events is the indicator that counts events by counters, or by expressions.
type Events struct{ Numbers Measure }

// Kind implements Indicator.
func (Events) Kind() string { return "events" }

// Fields implements Indicator.
func (e Events) Fields() []Field { return numbers(e.Numbers, "good", "bad") }

// numbers are the fields of what is counted by counters or rates.
func numbers(m Measure, good, bad string) []Field {
	var texts [3]string
	switch m := m.(type) {
	case Counters:
		texts = [3]string{m.Good.String(), m.Bad.String(), m.Total.String()}
	case Increments:
		texts = [3]string{m.Good.String(), m.Bad.String(), m.Total.String()}
	case Rates:
		texts = [3]string{m.Good.Text, m.Bad.Text, m.Total.Text}
	}
	var out []Field
	for i, key := range []string{good, bad, "total"} {
		if texts[i] != "" {
			out = append(out, Field{key, texts[i]})
		}
	}
	if m, ok := m.(Increments); ok {
		out = append(out, Field{"type", m.kind()})
	}
	return out
}

func (i Increments) kind() string {
	if i.PerSecond {
		return RateType
	}
	return DeltaType
}

// Measure implements Indicator.
func (e Events) Measure() Measure { return e.Numbers }

// Latency is the indicator that counts the observations of a histogram that
// took at most Threshold as good.
type Latency struct {
	Histogram Selector // the histogram's name, without _bucket or _count
	Threshold float64  // in the histogram's unit
	Text      string   // the threshold as it is written
	Unit      string   // the key of the histogram's unit, "" where the name says it
	Assumed   bool     // the threshold is taken to be in seconds; nothing says so

	le *labels.Matcher // of the threshold, nil where it is not compiled
}

// Kind implements Indicator.
func (Latency) Kind() string { return "latency" }

// Fields implements Indicator.
func (l Latency) Fields() []Field {
	fields := []Field{{"histogram", l.Histogram.String()}, {"threshold", l.Text}}
	if l.Unit != "" {
		fields = append(fields, Field{"unit", l.Unit})
	}
	return fields
}

// Measure implements Indicator: good is the bucket at the threshold, total is
// the histogram's count.
func (l Latency) Measure() Measure {
	return Counters{
		Good: NewCounter(l.Bucket()), Total: NewCounter(l.Histogram.suffixed("_count")),
		Native: &Native{l.Histogram, l.Threshold},
	}
}

// Buckets selects all buckets of the histogram, whatever their boundary.
func (l Latency) Buckets() Selector { return l.Histogram.suffixed("_bucket") }

// Probe is the indicator that asks in each slot whether each target is up.
type Probe struct{ States States }

// Kind implements Indicator.
func (Probe) Kind() string { return "probe" }

// Fields implements Indicator.
func (p Probe) Fields() []Field { return []Field{{"metric", p.States.Gauge.String()}} }

// Measure implements Indicator.
func (p Probe) Measure() Measure { return p.States }

// Threshold is the indicator that compares the values of a query.
type Threshold struct {
	Query  string
	Op     string // <, <=, >, >=, == or !=; good when the value is so
	Value  float64
	Absent bool
}

// Kind implements Indicator.
func (Threshold) Kind() string { return "threshold" }

// Fields implements Indicator.
func (t Threshold) Fields() []Field {
	return []Field{{"query", t.Query}, {"op", t.Op}, {"value", strconv.FormatFloat(t.Value, 'g', -1, 64)}}
}

// Measure implements Indicator.
func (t Threshold) Measure() Measure {
	good := t.Good()
	return Levels{Query: t.Query, Good: func(_ time.Time, v float64) bool { return good(v) }, Absent: t.Absent}
}

// Good returns what reports whether a value is good.
func (t Threshold) Good() func(v float64) bool {
	return map[string]func(v float64) bool{
		"<": func(v float64) bool { return v < t.Value }, "<=": func(v float64) bool { return v <= t.Value },
		">": func(v float64) bool { return v > t.Value }, ">=": func(v float64) bool { return v >= t.Value },
		"==": func(v float64) bool { return v == t.Value }, "!=": func(v float64) bool { return v != t.Value },
	}[t.Op]
}

// Freshness is the indicator that asks in each slot how old something is.
type Freshness struct {
	Timestamp string // an expression, in seconds since the epoch
	MaxAge    time.Duration
}

// Kind implements Indicator.
func (Freshness) Kind() string { return "freshness" }

// Fields implements Indicator.
func (f Freshness) Fields() []Field {
	return []Field{{"timestamp", f.Timestamp}, {"max_age", model.Duration(f.MaxAge).String()}}
}

// Measure implements Indicator.
func (f Freshness) Measure() Measure {
	return Levels{
		Query:    f.Timestamp,
		Good:     func(at time.Time, v float64) bool { return float64(at.Unix())-v <= f.MaxAge.Seconds() },
		Possible: func(at time.Time, v float64) bool { return v >= 0 && v <= float64(at.Add(Ahead).Unix()) },
		Remember: f.MaxAge + Remembrance,
	}
}

// Ahead is how far in the future a time of the past may be, for clocks that differ.
// What is later is no time, but milliseconds, or the time of a clock that is wrong.
const Ahead = time.Hour

// Remembrance is for how long what is gone counts as bad, where its absence is
// bad: after that it is taken for removed on purpose.
const Remembrance = 7 * 24 * time.Hour

// JobRuns is the indicator that counts runs of jobs: by counters of runs, or by
// the time of the last success.
type JobRuns struct{ Numbers Measure }

// Kind implements Indicator.
func (JobRuns) Kind() string { return "runs" }

// Fields implements Indicator.
func (r JobRuns) Fields() []Field {
	if runs, ok := r.Numbers.(Runs); ok {
		return []Field{
			{"last_success", runs.LastSuccess}, {"every", model.Duration(runs.Every).String()}, {"grace", model.Duration(runs.Grace).String()},
		}
	}
	return numbers(r.Numbers, "succeeded", "failed")
}

// Measure implements Indicator.
func (r JobRuns) Measure() Measure { return r.Numbers }

// WorstOf is the indicator of an SLO of other SLOs.
type WorstOf struct {
	Names []string // the ids in the file
	Parts []*SLO   // what these are made of in the end, each once
}

// Kind implements Indicator.
func (*WorstOf) Kind() string { return "worst_of" }

// Fields implements Indicator.
func (w *WorstOf) Fields() []Field { return []Field{{"worst_of", strings.Join(w.Names, ", ")}} }

// Measure implements Indicator.
func (w *WorstOf) Measure() Measure { return Parts(w.Parts) }

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

// vector prints a name that is not classic as a matcher of __name__, which older
// backends can read too.
func (s Selector) vector(offset time.Duration) *parser.VectorSelector {
	v := &parser.VectorSelector{LabelMatchers: s.matchers, OriginalOffset: offset}
	if name := s.Name(); IsClassicName(name) {
		v.Name = name
	}
	return v
}

// The types of what numbers are selected by, beside counters.
const (
	CounterType = "counter"
	DeltaType   = "delta"
	RateType    = "rate"
)

// Forgiving is an indicator for which time without data can be bad.
type Forgiving interface {
	// WithoutData is the indicator for which it is.
	WithoutData() Indicator
	// BadWithoutData reports whether it is.
	BadWithoutData() bool
}

// WithoutData implements Forgiving.
func (p Probe) WithoutData() Indicator {
	p.States.Absent = true
	return p
}

// BadWithoutData implements Forgiving.
func (p Probe) BadWithoutData() bool { return p.States.Absent }

// WithoutData implements Forgiving.
func (t Threshold) WithoutData() Indicator {
	t.Absent = true
	return t
}

// BadWithoutData implements Forgiving.
func (t Threshold) BadWithoutData() bool { return t.Absent }
