package ruletest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/slowburn-slo/slowburn/alerting/rules/series"
	"github.com/slowburn-slo/slowburn/slo"
)

// input is a series in three phases: good, bad, good.
type input struct {
	labels labels.Labels
	values func() string
	still  string // its values when nothing happens; none when it is not there
}

// level is the course of a series as long as nothing changes.
type level struct {
	kind levelKind
	n    float64 // the value of a gauge, and by how much a counter rises in a minute
}

type levelKind int

const (
	flat  levelKind = iota
	rises           // a counter
	ticks           // the time of each minute
)

// line is a level for some minutes.
type line struct {
	level
	minutes int
}

// notation returns lines, one after the other, as promtool reads them.
func notation(lines ...line) string {
	n := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	var out []string
	minute, count := 0, 0.0
	for i, l := range lines {
		first, rise, more := l.n, 0.0, float64(l.minutes-1)
		switch l.kind {
		case ticks:
			first, rise = float64(60*minute), 60
		case rises:
			if i > 0 {
				count += l.n
			}
			first, rise = count, l.n
			count += l.n * more
		}
		out = append(out, n(first)+"+"+n(rise)+"x"+n(more))
		minute += l.minutes
	}
	return strings.Join(out, " ")
}

// groupOf are the labels of a group of an SLO: such as its selectors select.
func groupOf(s *slo.SLO) map[string]string {
	out := map[string]string{}
	if s.Groups == nil {
		return out
	}
	selectors := selectorsOf(s.Indicator.Measure())
	for _, name := range s.Groups.By {
		texts := []string{"example"}
		var matchers []*labels.Matcher
		for _, selector := range selectors {
			for _, m := range selector.Matchers() {
				if m.Name == name {
					matchers, texts = append(matchers, m), append(texts, series.Samples(m.Value)...)
				}
			}
		}
		first := slices.IndexFunc(texts, func(text string) bool {
			return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(text) })
		})
		out[name] = texts[max(first, 0)]
	}
	return out
}

// selectorsOf returns the selectors of what is measured, none where it is measured by
// expressions of several.
func selectorsOf(m slo.Measure) (out []slo.Selector) {
	query := ""
	switch m := m.(type) {
	case slo.Counters:
		for _, term := range slices.Concat(m.Good, m.Bad, m.Total) {
			out = append(out, term.Selector)
		}
	case slo.Increments:
		for _, term := range slices.Concat(m.Good, m.Bad, m.Total) {
			out = append(out, term.Selector)
		}
	case slo.States:
		return []slo.Selector{m.Gauge}
	case slo.Levels:
		query = m.Query
	case slo.Runs:
		query = m.LastSuccess
	}
	if s, ok := soleSelector(query); ok {
		return []slo.Selector{s}
	}
	return out
}

// soleSelector returns the selector of an expression that has the value of a series
// that it selects, if there is one such series.
func soleSelector(query string) (slo.Selector, bool) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return slo.Selector{}, false
	}
	for {
		switch of := e.(type) {
		case *parser.ParenExpr:
			e = of.Expr
		case *parser.AggregateExpr:
			if !slices.Contains([]parser.ItemType{parser.MAX, parser.MIN, parser.AVG, parser.SUM}, of.Op) {
				return slo.Selector{}, false
			}
			e = of.Expr
		case *parser.VectorSelector:
			now := of.OriginalOffset == 0 && of.Timestamp == nil && of.StartOrEnd == 0
			return slo.NewSelector(of.LabelMatchers...), now
		default:
			return slo.Selector{}, false
		}
	}
}

// inputsOf returns the series of an indicator, none where they don't follow from the
// SLO file. Those of a job that does not fail are good in all phases.
func (p *proof) inputsOf(i slo.Indicator, more map[string]string, fails bool) []input {
	switch m := i.Measure().(type) {
	case slo.Counters:
		p.events, p.flood = [2]float64{busy, busy}, flood
		var out []input
		for _, r := range series.OfCounters(m, more) {
			out = append(out, p.between(r.Labels, level{rises, r.PerGood * busy}, level{rises, r.PerBad * busy}))
		}
		return out
	case slo.Increments:
		p.events = [2]float64{busy, busy}
		n := float64(busy)
		if m.PerSecond {
			n /= 60
		}
		var out []input
		for _, r := range series.OfCounters(slo.Counters{Good: m.Good, Bad: m.Bad, Total: m.Total}, more) {
			in := p.between(r.Labels, level{flat, r.PerGood * n}, level{flat, r.PerBad * n})
			in.still = "0x" + strconv.Itoa(quiet)
			out = append(out, in)
		}
		return out
	}
	selectors := selectorsOf(i.Measure())
	if len(selectors) != 1 {
		return nil
	}
	first, ok := series.First(selectors[0], more)
	if !ok {
		return nil
	}
	switch m := i.Measure().(type) {
	case slo.States:
		return []input{p.between(first, level{flat, 1}, level{flat, 0})}
	case slo.Runs:
		return p.runs(m, first, fails)
	}
	switch i := i.(type) {
	case slo.Threshold:
		good, bad, ok := levelsAround(i)
		if ok {
			return []input{p.between(first, good, bad)}
		}
	case slo.Freshness: // promtool's time begins at 0
		return []input{p.between(first, level{ticks, 0}, level{flat, -2 * i.MaxAge.Seconds()})}
	}
	return nil
}

// levelsAround returns a good value and a bad one next to a threshold.
func levelsAround(t slo.Threshold) (good, bad level, ok bool) {
	isGood := t.Measure().(slo.Levels).Good
	hasGood, hasBad := false, false
	for _, v := range []float64{t.Value - 1, t.Value + 1, t.Value} {
		if isGood(time.Time{}, v) {
			good, hasGood = level{flat, v}, true
		} else {
			bad, hasBad = level{flat, v}, true
		}
	}
	return good, bad, hasGood && hasBad
}

// between is a series that is good, bad and good again.
func (p *proof) between(l labels.Labels, good, bad level) input {
	in := input{labels: l, values: func() string {
		after := good
		if after.kind == rises {
			after.n *= p.flood
		}
		return notation(line{good, calm + 1}, line{bad, p.burst}, line{after, p.last() + 1})
	}}
	if good.kind == rises {
		in.still = "7x" + strconv.Itoa(quiet)
	}
	return in
}

// runs is the series of a job that succeeds each time, never unless it does not
// fail, and each time.
func (p *proof) runs(r slo.Runs, l labels.Labels, fails bool) []input {
	if r.Every%time.Minute != 0 {
		return nil
	}
	every := int(r.Every / time.Minute)
	if _, parts := p.s.Indicator.Measure().(slo.Parts); fails {
		p.lag = max(p.lag, p.every+every+int((r.Grace+time.Minute-1)/time.Minute))
		p.misses = every
		if !parts && p.s.Slice == nil {
			p.every = every
		}
	}
	return []input{{labels: l, values: func() string {
		if !fails {
			return successes(every, 0, calm+1+p.burst+p.last()+1)
		}
		missed := line{level{flat, float64(60 * (calm / every) * every)}, p.burst}
		return successes(every, 0, calm+1) + " " + notation(missed) + " " + successes(every, calm+1+p.burst, p.last()+1)
	}}}
}

// successes returns the times of the last success of a job, in some minutes from one
// on, in which it succeeds.
func successes(every, from, minutes int) string {
	var out []string
	for ; minutes > 0; from, minutes = from+every, minutes-every {
		out = append(out, notation(line{level{flat, float64(60 * from)}, min(minutes, every)}))
	}
	return strings.Join(out, " ")
}
