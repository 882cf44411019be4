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

// Indicator is the measurement of an SLO. Each kind has a type, with all that differs
// between the kinds.
type Indicator interface {
	// Kind is the key under "sli:" in the SLO file.
	Kind() string
	// Unit names its events for people: UnitEvents, UnitRuns, UnitMinutes and others.
	Unit() string
	// Measure is how the events are got from a backend.
	Measure() Measure
	// Fields are its keys in the SLO file; that of its query first.
	Fields() []Field
}

// Units of events.
const (
	UnitEvents       = "events"
	UnitObservations = "observations"
	UnitMinutes      = "minutes"
	UnitRuns         = "runs"
	UnitSlices       = "slices" // of SLOs that count slices of time
)

// Field is a key of an SLO file and its value.
type Field struct {
	Key, Text string
	Role      string // "good", "bad" or "total" if it counts these alone; else ""
}

// FieldFor returns the key of an SLO file that counts the role "good", "bad" or "total",
// such as "sli.events.bad".
func FieldFor(i Indicator, role string) string {
	fields := i.Fields()
	n := max(0, slices.IndexFunc(fields, func(f Field) bool { return f.Role == role }))
	return "sli." + i.Kind() + "." + fields[n].Key
}

// Events is the indicator that counts events by counters, or by expressions.
type Events struct{ Numbers Measure }

// Kind implements Indicator.
func (Events) Kind() string { return "events" }

// Unit implements Indicator.
func (Events) Unit() string { return UnitEvents }

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
	roles := [3]string{"good", "bad", "total"}
	for i, key := range []string{good, bad, "total"} {
		if texts[i] != "" {
			out = append(out, Field{Key: key, Text: texts[i], Role: roles[i]})
		}
	}
	if m, ok := m.(Increments); ok {
		out = append(out, Field{Key: "type", Text: m.kind()})
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
	UnitKey   string   // the key of the histogram's unit, "" where the name has it
	Assumed   bool     // the threshold is taken to be in seconds, without any sign of it

	le *labels.Matcher // of the threshold, nil where it is not compiled
}

// Kind implements Indicator.
func (Latency) Kind() string { return "latency" }

// Unit implements Indicator.
func (Latency) Unit() string { return UnitObservations }

// Fields implements Indicator.
func (l Latency) Fields() []Field {
	fields := []Field{{Key: "histogram", Text: l.Histogram.String()}, {Key: "threshold", Text: l.Text}}
	if l.UnitKey != "" {
		fields = append(fields, Field{Key: "unit", Text: l.UnitKey})
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
type Probe struct{ States }

// Kind implements Indicator.
func (Probe) Kind() string { return "probe" }

// Fields implements Indicator.
func (p Probe) Fields() []Field { return []Field{{Key: "metric", Text: p.Gauge.String()}} }

// Threshold is the indicator that compares the values of a query.
type Threshold struct{ Levels }

// Kind implements Indicator.
func (Threshold) Kind() string { return "threshold" }

// Fields implements Indicator.
func (t Threshold) Fields() []Field {
	return []Field{{Key: "query", Text: t.Query}, {Key: "op", Text: t.Op}, {Key: "value", Text: strconv.FormatFloat(t.Value, 'g', -1, 64)}}
}

// Freshness is the indicator that asks in each slot how old something is.
type Freshness struct{ Levels }

// Kind implements Indicator.
func (Freshness) Kind() string { return "freshness" }

// Fields implements Indicator.
func (f Freshness) Fields() []Field {
	return []Field{{Key: "timestamp", Text: f.Query}, {Key: "max_age", Text: model.Duration(f.MaxAge).String()}}
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

// Unit implements Indicator.
func (JobRuns) Unit() string { return UnitRuns }

// Fields implements Indicator.
func (r JobRuns) Fields() []Field {
	if runs, ok := r.Numbers.(Runs); ok {
		return []Field{
			{Key: "last_success", Text: runs.LastSuccess}, {Key: "every", Text: model.Duration(runs.Every).String()}, {Key: "grace", Text: model.Duration(runs.Grace).String()},
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

// Unit implements Indicator.
func (*WorstOf) Unit() string { return UnitMinutes }

// Fields implements Indicator.
func (w *WorstOf) Fields() []Field {
	return []Field{{Key: "worst_of", Text: strings.Join(w.Names, ", ")}}
}

// Measure implements Indicator.
func (w *WorstOf) Measure() Measure { return Parts(w.Parts) }

// Leaves are the SLOs that one is made of in the end: itself unless it is a worst_of.
func (s *SLO) Leaves() []*SLO {
	if parts, ok := s.Indicator.Measure().(Parts); ok {
		return parts
	}
	return []*SLO{s}
}

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

// The types of series that numbers of events are counted from.
const (
	CounterType = "counter"
	DeltaType   = "delta"
	RateType    = "rate"
)

// WithoutData returns the indicator for which time without data is bad. It reports false for
// kinds that have none.
func WithoutData(i Indicator) (Indicator, bool) {
	switch i := i.(type) {
	case Probe:
		i.Absent = true
		return i, true
	case Threshold:
		i.Absent = true
		return i, true
	}
	return i, false
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
