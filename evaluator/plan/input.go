package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/evaluator/counting"
	"github.com/slowburn-slo/slowburn/evaluator/counting/gauges"
	"github.com/slowburn-slo/slowburn/evaluator/timeline"
	"github.com/slowburn-slo/slowburn/slo"
)

// NativeQuery asks for the native histograms that hold good and total in one.
func (m *Input) NativeQuery() Query {
	return Query{Selector: m.Native.Histogram, Only: m.Queries[0].Only}.Named()
}

// Input is a way of counting the slots of an SLO, or of a part of one that is
// made of others.
type Input struct {
	Indicator slo.Indicator
	Queries   []Query
	Counted   counting.Role          // of good, bad and total those that are counted
	remember  timeline.Minute        // how much is read before a timeline
	Absence   timeline.Minute        // for how long what is gone counts; 0 where it does not
	Fresh     func() counting.Method // nil for counters, which a backend's limits choose
	Exact     bool                   // as far as the measure goes
	Native    *slo.Native            // histograms that hold good and total in one; nil for none
	sparse    bool                   // it may be without events for long
	target    slo.Objective          // below which a slot is bad for what it is a part of
}

// Way is how a query is asked.
type Way uint8

// The ways to ask.
const (
	RawSamples Way = iota // the samples of series, as they are
	TargetSums            // the sums of each target's series at the ends of slots
	SlotValues            // the values of an expression at the ends of slots
)

// Query is what is asked of a backend, and what its answer counts.
type Query struct {
	Role     counting.Role
	Weight   float64
	Way      Way
	Selector slo.Selector      // of rawSamples and targetSums
	Expr     string            // of slotValues
	Paces    []gauges.Pace     // of expr; nil where each value is there for 5 minutes
	Only     []*labels.Matcher // what of an answer counts
	By       []string          // names of labels that an answer tells apart beside the target's

	known string       // its text, which is asked for often
	Own   slo.Selector // with what counts of it only
}

// Text is what a reading tells queries apart by.
func (q *Query) Text() string { return q.known }

// OwnText is the text of what of an answer counts.
func (q *Query) OwnText() string {
	if q.Way == SlotValues {
		return q.Expr
	}
	return q.Own.String()
}

// Named is the query with what follows from it.
func (q Query) Named() Query {
	q.known = q.Expr
	if q.Way != SlotValues {
		q.known, q.Own = q.Selector.String(), q.Selector.With(q.Only...)
	}
	return q
}

// NewInput makes the meter of an indicator that is no worst_of.
func NewInput(i slo.Indicator) *Input {
	m := &Input{Indicator: i, remember: counting.LeadIn, Exact: true, sparse: i.Kind() == "runs"}
	switch measure := i.Measure().(type) {
	case slo.Counters:
		m.Native = measure.Native
		m.count(counting.RoleGood, measure.Good)
		m.count(counting.RoleBad, measure.Bad)
		m.count(counting.RoleTotal, measure.Total)
	case slo.Increments:
		m.Exact = !measure.PerSecond
		m.count(counting.RoleGood, measure.Good)
		m.count(counting.RoleBad, measure.Bad)
		m.count(counting.RoleTotal, measure.Total)
		m.Fresh = func() counting.Method { return gauges.NewIncrements(m.Clock(), measure.PerSecond) }
	case slo.States:
		m.ask(Query{Role: counting.RoleTotal, Way: RawSamples, Selector: measure.Gauge})
		m.Fresh = func() counting.Method { return gauges.NewProbe(measure.Absent) }
		if measure.Absent {
			m.remember = timeline.Minutes(slo.Remembrance)
			m.Absence = m.remember
		}
	case slo.Levels:
		m.ask(Query{Role: counting.RoleTotal, Way: SlotValues, Expr: measure.Query})
		m.Fresh = func() counting.Method { return gauges.NewValues(measure) }
		m.remember = timeline.Minutes(measure.Remember)
		if measure.Absent {
			m.remember = timeline.Minutes(slo.Remembrance)
		}
		m.Absence = m.remember
	case slo.Runs:
		m.ask(Query{Role: counting.RoleTotal, Way: SlotValues, Expr: measure.LastSuccess})
		m.Fresh = func() counting.Method { return gauges.NewRuns(measure) }
		m.remember = timeline.Minutes(measure.Every + measure.Grace + slo.Remembrance)
		m.Absence = m.remember
	case slo.Rates:
		m.Exact, m.remember = false, 0
		m.Fresh = func() counting.Method { return &gauges.Rates{Clock: m.Clock()} }
		m.rate(counting.RoleGood, measure.Good)
		m.rate(counting.RoleBad, measure.Bad)
		m.rate(counting.RoleTotal, measure.Total)
	}
	return m
}

func (m *Input) ask(q Query) {
	q.Weight = 1
	m.Queries = append(m.Queries, q.Named())
	m.Counted |= q.Role | counting.RoleBad
}

func (m *Input) count(r counting.Role, c slo.Counter) {
	for _, t := range c {
		m.Queries = append(m.Queries, Query{Role: r, Weight: t.Weight, Selector: t.Selector}.Named())
		m.Counted |= r
	}
}

func (m *Input) rate(r counting.Role, x slo.Rate) {
	if x.Query != "" {
		m.Queries = append(m.Queries, Query{Role: r, Weight: x.Factor, Way: SlotValues, Expr: x.Query}.Named())
		m.Counted |= r
	}
}

// Clock is the role whose samples tell which slots are known.
func (m *Input) Clock() counting.Role {
	if m.Counted&counting.RoleTotal != 0 {
		return counting.RoleTotal
	}
	return counting.RoleGood | counting.RoleBad
}

// CountText is a query for how many series of a text have samples at an instant; they
// are none where there are none.
func (m *Input) CountText(text string) string {
	if m.Native != nil {
		return "count(" + text + ") or count(" + m.Native.Histogram.With(m.Queries[0].Only...).String() + ")"
	}
	return "count(" + text + ")"
}

// OwnText is clockText, of a group's series alone.
func (m *Input) OwnText() string {
	if q := m.ClockQuery(); q != nil && !q.Selector.IsZero() {
		return q.Selector.With(q.Only...).String()
	}
	return m.ClockText()
}

// ClockText is what of the backend tells that there is data.
func (m *Input) ClockText() string {
	if q := m.ClockQuery(); q != nil {
		return q.Text()
	}
	return ""
}

// ClockQuery is the last of the queries whose samples tell that there is data; nil without any.
func (m *Input) ClockQuery() *Query {
	for i := range slices.Backward(m.Queries) {
		if m.Queries[i].Role&m.Clock() != 0 {
			return &m.Queries[i]
		}
	}
	return nil
}

// key tells meters apart that count differently.
func (m *Input) key() string {
	parts := []string{m.Indicator.Kind(), m.target.RatioText(), strconv.FormatInt(int64(m.remember), 10)}
	for _, f := range m.Indicator.Fields() {
		parts = append(parts, f.Key, f.Text)
	}
	for _, q := range m.Queries {
		for _, o := range q.Only {
			parts = append(parts, o.String())
		}
	}
	return strings.Join(parts, "\xff")
}

// within makes of a meter that of one group: it counts what has the group's
// labels.
func (m *Input) within(group map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(group)) {
		only := labels.MustNewMatcher(labels.MatchEqual, name, group[name])
		for i := range m.Queries {
			m.Queries[i].Only = append(m.Queries[i].Only, only)
			m.Queries[i].By = append(m.Queries[i].By, name)
			m.Queries[i] = m.Queries[i].Named()
		}
	}
}

// OfGroup reports whether a meter counts one group.
func (m *Input) OfGroup() bool { return len(m.Queries[0].Only) > 0 }

// Paced reports whether a meter takes what is there at the ends of slots.
func (m *Input) Paced() bool {
	l, is := m.Indicator.Measure().(slo.Levels)
	return is && l.Remember == 0
}

// Asked is what is asked for the slot that ends at an instant.
func (q *Query) Asked(end timeline.Minute) string {
	if p := gauges.PaceAt(q.Paces, end); p.Expr != "" {
		return p.Expr
	}
	return q.Expr
}
