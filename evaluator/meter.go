package evaluator

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/slowburn-slo/slowburn/slo"
)

// meter is a way of counting the slots of an SLO, or of a part of one that is
// made of others.
type meter struct {
	indicator slo.Indicator
	queries   []query
	counted   role            // of good, bad and total those that are counted
	remember  Minute          // how much is read before a timeline
	absence   Minute          // for how long what is gone counts; 0 where it does not
	fresh     func() accounts // nil for counters, which a backend's limits choose
	exact     bool            // as far as the measure goes
	native    *slo.Native     // histograms that hold good and total in one; nil for none
	sparse    bool            // it may be without events for long
	target    slo.Objective   // below which a slot is bad for what it is a part of
}

// way is how a query is asked.
type way uint8

const (
	rawSamples way = iota // the samples of series, as they are
	targetSums            // the sums of each target's series at the ends of slots
	slotValues            // the values of an expression at the ends of slots
)

// query is what is asked of a backend, and what its answer counts.
type query struct {
	role     role
	weight   float64
	way      way
	selector slo.Selector      // of rawSamples and targetSums
	expr     string            // of slotValues
	paces    []pace            // of expr; nil where each value is there for 5 minutes
	only     []*labels.Matcher // what of an answer counts
	by       []string          // names of labels that an answer tells apart beside the target's

	known string       // its text, which is asked for often
	own   slo.Selector // with what counts of it only
}

// text is what a reading tells queries apart by.
func (q *query) text() string { return q.known }

// ownText is the text of what of an answer counts.
func (q *query) ownText() string {
	if q.way == slotValues {
		return q.expr
	}
	return q.own.String()
}

// named is the query with what follows from it.
func (q query) named() query {
	q.known = q.expr
	if q.way != slotValues {
		q.known, q.own = q.selector.String(), q.selector.With(q.only...)
	}
	return q
}

// role says what the increments of a series count.
type role uint8

const (
	roleGood role = 1 << iota
	roleBad
	roleTotal
)

// newMeter makes the meter of an indicator that is no worst_of.
func newMeter(i slo.Indicator) *meter {
	m := &meter{indicator: i, remember: leadIn, exact: true, sparse: i.Kind() == "runs"}
	switch measure := i.Measure().(type) {
	case slo.Counters:
		m.native = measure.Native
		m.count(roleGood, measure.Good)
		m.count(roleBad, measure.Bad)
		m.count(roleTotal, measure.Total)
	case slo.Increments:
		m.exact = !measure.PerSecond
		m.count(roleGood, measure.Good)
		m.count(roleBad, measure.Bad)
		m.count(roleTotal, measure.Total)
		m.fresh = func() accounts { return newIncrements(m.clock(), measure.PerSecond) }
	case slo.States:
		m.ask(query{role: roleTotal, way: rawSamples, selector: measure.Gauge})
		m.fresh = func() accounts { return newProbe(measure.Absent) }
		if measure.Absent {
			m.remember = minutes(slo.Remembrance)
			m.absence = m.remember
		}
	case slo.Levels:
		m.ask(query{role: roleTotal, way: slotValues, expr: measure.Query})
		m.fresh = func() accounts { return newLevels(measure) }
		m.remember = minutes(measure.Remember)
		if measure.Absent {
			m.remember = minutes(slo.Remembrance)
		}
		m.absence = m.remember
	case slo.Runs:
		m.ask(query{role: roleTotal, way: slotValues, expr: measure.LastSuccess})
		m.fresh = func() accounts { return newRuns(measure) }
		m.remember = minutes(measure.Every + measure.Grace + slo.Remembrance)
		m.absence = m.remember
	case slo.Rates:
		m.exact, m.remember = false, 0
		m.fresh = func() accounts { return &rates{clock: m.clock()} }
		m.rate(roleGood, measure.Good)
		m.rate(roleBad, measure.Bad)
		m.rate(roleTotal, measure.Total)
	}
	return m
}

func minutes(d time.Duration) Minute { return Minute((d + time.Minute - 1) / time.Minute) }

func (m *meter) ask(q query) {
	q.weight = 1
	m.queries = append(m.queries, q.named())
	m.counted |= q.role | roleBad
}

func (m *meter) count(r role, c slo.Counter) {
	for _, t := range c {
		m.queries = append(m.queries, query{role: r, weight: t.Weight, selector: t.Selector}.named())
		m.counted |= r
	}
}

func (m *meter) rate(r role, x slo.Rate) {
	if x.Query != "" {
		m.queries = append(m.queries, query{role: r, weight: x.Factor, way: slotValues, expr: x.Query}.named())
		m.counted |= r
	}
}

// clock is the role whose samples tell which slots are known.
func (m *meter) clock() role {
	if m.counted&roleTotal != 0 {
		return roleTotal
	}
	return roleGood | roleBad
}

// countText is a query for how many series of a text have samples at an instant; they
// are none where there are none.
func (m *meter) countText(text string) string {
	if m.native != nil {
		return "count(" + text + ") or count(" + m.native.Histogram.With(m.queries[0].only...).String() + ")"
	}
	return "count(" + text + ")"
}

// ownText is clockText, of a group's series alone.
func (m *meter) ownText() string {
	if q := m.clockQuery(); q != nil && !q.selector.IsZero() {
		return q.selector.With(q.only...).String()
	}
	return m.clockText()
}

// clockText is what of the backend tells that there is data.
func (m *meter) clockText() string {
	if q := m.clockQuery(); q != nil {
		return q.text()
	}
	return ""
}

func (m *meter) clockQuery() *query {
	for i := range slices.Backward(m.queries) {
		if m.queries[i].role&m.clock() != 0 {
			return &m.queries[i]
		}
	}
	return nil
}

// key tells meters apart that count differently.
func (m *meter) key() string {
	parts := []string{m.indicator.Kind(), m.target.RatioText(), strconv.FormatInt(int64(m.remember), 10)}
	for _, f := range m.indicator.Fields() {
		parts = append(parts, f.Key, f.Text)
	}
	for _, q := range m.queries {
		for _, o := range q.only {
			parts = append(parts, o.String())
		}
	}
	return strings.Join(parts, "\xff")
}

// within makes of a meter that of one group: it counts what has the group's
// labels.
func (m *meter) within(group map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(group)) {
		only := labels.MustNewMatcher(labels.MatchEqual, name, group[name])
		for i := range m.queries {
			m.queries[i].only = append(m.queries[i].only, only)
			m.queries[i].by = append(m.queries[i].by, name)
			m.queries[i] = m.queries[i].named()
		}
	}
}

// ofGroup reports whether a meter counts one group.
func (m *meter) ofGroup() bool { return len(m.queries[0].only) > 0 }
