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

// NativeQuery returns the query for the native histograms that contain good and total.
func (m *Input) NativeQuery() Query {
	return Query{Selector: m.Native.Histogram, Only: m.Queries[0].Only}.Prepared()
}

// Input is a way to count the slots of an SLO, or of a part of one.
type Input struct {
	Indicator slo.Indicator
	Queries   []Query
	Counted   counting.Role          // two of good, bad and total, or all
	remember  timeline.Minute        // how much is read before a timeline
	Absence   timeline.Minute        // for how long absent data counts; 0 if it does not
	NewMethod func() counting.Method // returns a new method; nil for counters, whose method depends on the backend's limits
	Exact     bool                   // the indicator is not an estimate
	Native    *slo.Native            // histograms that contain good and total; nil for none
	sparse    bool                   // it may have no events for a long time
	target    slo.Objective          // slots below it are bad events of the whole SLO
}

// Way is the kind of a query.
type Way uint8

// The kinds of queries.
const (
	RawSamples Way = iota // the samples of series
	TargetSums            // the sums of each target's series at the ends of slots
	SlotValues            // the values of an expression at the ends of slots
)

// Query is a query to a backend, with the role of its answer.
type Query struct {
	Role     counting.Role
	Weight   float64
	Way      Way
	Selector slo.Selector      // for RawSamples and TargetSums
	Expr     string            // for SlotValues
	Paces    []gauges.Pace     // of Expr; nil if each value lasts 5 minutes
	Only     []*labels.Matcher // the part of the answer that counts
	By       []string          // labels to separate in sums, in addition to the target labels

	text string       // cached, because it is needed often
	Own  slo.Selector // Selector and Only together
}

// Text returns the text by which queries are compared.
func (q *Query) Text() string { return q.text }

// OwnText returns the text of the part of the answer that counts.
func (q *Query) OwnText() string {
	if q.Way == SlotValues {
		return q.Expr
	}
	return q.Own.String()
}

// Prepared returns the query with the fields that follow from others.
func (q Query) Prepared() Query {
	q.text = q.Expr
	if q.Way != SlotValues {
		q.text, q.Own = q.Selector.String(), q.Selector.With(q.Only...)
	}
	return q
}

// NewInput returns the input of an indicator other than worst_of.
func NewInput(i slo.Indicator) *Input {
	m := &Input{Indicator: i, remember: counting.LeadIn, Exact: true, sparse: i.Unit() == slo.UnitRuns}
	switch measure := i.Measure().(type) {
	case slo.Counters:
		m.Native = measure.Native
		m.count(measure.Good, measure.Bad, measure.Total)
	case slo.Increments:
		m.Exact = !measure.PerSecond
		m.count(measure.Good, measure.Bad, measure.Total)
		m.NewMethod = func() counting.Method { return gauges.NewIncrements(m.Clock(), measure.PerSecond) }
	case slo.States:
		m.addJudged(Query{Way: RawSamples, Selector: measure.Gauge})
		m.NewMethod = func() counting.Method { return gauges.NewProbe(measure.Absent) }
		if measure.Absent {
			m.remember = timeline.Minutes(slo.Remembrance)
			m.Absence = m.remember
		}
	case slo.Levels:
		m.addJudged(Query{Way: SlotValues, Expr: measure.Query})
		m.NewMethod = func() counting.Method { return gauges.NewValues(measure) }
		m.remember = timeline.Minutes(measure.Remember())
		if measure.Absent {
			m.remember = timeline.Minutes(slo.Remembrance)
		}
		m.Absence = m.remember
	case slo.Runs:
		m.addJudged(Query{Way: SlotValues, Expr: measure.LastSuccess})
		m.NewMethod = func() counting.Method { return gauges.NewRuns(measure) }
		m.remember = timeline.Minutes(measure.Every + measure.Grace + slo.Remembrance)
		m.Absence = m.remember
	case slo.Rates:
		m.Exact, m.remember = false, 0
		m.NewMethod = func() counting.Method { return &gauges.Rates{Clock: m.Clock()} }
		for i, x := range []slo.Rate{measure.Good, measure.Bad, measure.Total} {
			if x.Query != "" {
				m.add(Query{Role: counting.AllRoles[i], Weight: x.Factor, Way: SlotValues, Expr: x.Query})
			}
		}
	}
	return m
}

func (m *Input) add(q Query) {
	m.Queries = append(m.Queries, q.Prepared())
	m.Counted |= q.Role
}

// addJudged adds a query for values that are judged good or bad.
func (m *Input) addJudged(q Query) {
	q.Role, q.Weight = counting.RoleTotal, 1
	m.add(q)
	m.Counted |= counting.RoleBad
}

// count adds the queries of counters, in the order of counting.AllRoles.
func (m *Input) count(byRole ...slo.Counter) {
	for i, c := range byRole {
		for _, t := range c {
			m.add(Query{Role: counting.AllRoles[i], Weight: t.Weight, Selector: t.Selector})
		}
	}
}

// Clock returns the roles whose samples make slots known.
func (m *Input) Clock() counting.Role {
	if m.Counted&counting.RoleTotal != 0 {
		return counting.RoleTotal
	}
	return counting.RoleGood | counting.RoleBad
}

// CountText returns a query for the number of series of a text at an instant. Its answer
// is empty if there are none.
func (m *Input) CountText(text string) string {
	if m.Native != nil {
		return "count(" + text + ") or count(" + m.Native.Histogram.With(m.Queries[0].Only...).String() + ")"
	}
	return "count(" + text + ")"
}

// OwnText returns ClockText for the series of a group only.
func (m *Input) OwnText() string {
	if q := m.ClockQuery(); q != nil && !q.Selector.IsZero() {
		return q.Selector.With(q.Only...).String()
	}
	return m.ClockText()
}

// ClockText returns the text of the query whose samples show that there is data.
func (m *Input) ClockText() string {
	if q := m.ClockQuery(); q != nil {
		return q.Text()
	}
	return ""
}

// ClockQuery returns the last of the queries whose samples show that there is data, or
// nil.
func (m *Input) ClockQuery() *Query {
	for i := range slices.Backward(m.Queries) {
		if m.Queries[i].Role&m.Clock() != 0 {
			return &m.Queries[i]
		}
	}
	return nil
}

// key returns a text that differs for inputs that count differently.
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

// restrictTo makes the input count only the series of a group.
func (m *Input) restrictTo(group map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(group)) {
		only := labels.MustNewMatcher(labels.MatchEqual, name, group[name])
		for i := range m.Queries {
			m.Queries[i].Only = append(m.Queries[i].Only, only)
			m.Queries[i].By = append(m.Queries[i].By, name)
			m.Queries[i] = m.Queries[i].Prepared()
		}
	}
}

// IsGroup reports whether the input counts one group.
func (m *Input) IsGroup() bool { return len(m.Queries[0].Only) > 0 }

// Paced reports whether the input uses only the values at the ends of slots.
func (m *Input) Paced() bool {
	l, is := m.Indicator.Measure().(slo.Levels)
	return is && l.Remember() == 0
}

// ExprAt returns the expression to query for the slot that ends at an instant.
func (q *Query) ExprAt(end timeline.Minute) string {
	if p := gauges.PaceAt(q.Paces, end); p.Expr != "" {
		return p.Expr
	}
	return q.Expr
}

// WithoutGroup returns a copy of the input that counts the series of all groups.
func (m *Input) WithoutGroup() *Input {
	out := *m
	out.Queries = slices.Clone(m.Queries)
	for i := range out.Queries {
		out.Queries[i].Only = nil
		out.Queries[i] = out.Queries[i].Prepared()
	}
	return &out
}
